"""Everything Link raises on purpose: one root, facts as fields, and three things said: what, where things stand, what next.

`OutcomeUnknown` alone means that a change may have happened or not; every other error means that the change it speaks of
has not happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from attrs import define, field

from link.domain.keys import spelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from attrs import Attribute
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        """Stand in for typing's own, which Python has from 3.11 on."""
        return lambda decorator: decorator


_Kind = TypeVar("_Kind", bound=type)


@dataclass_transform(kw_only_default=True, eq_default=False)
def error_class(kind: _Kind) -> _Kind:
    """Make `kind` an exception that keeps its facts as fields."""
    return define(auto_exc=True, kw_only=True, eq=False, repr=False, str=False, slots=False)(kind)


@error_class
class LinkError(Exception):
    """The root of all of Link's errors."""

    __attrs_attrs__: ClassVar[tuple[Attribute[Any], ...]]

    def __str__(self) -> str:
        return " ".join(part for part in (self.what(), self.standing(), self.advice()) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the fields: exceptions pickle positional arguments only."""
        return _rebuild, (type(self), self._facts())

    def _facts(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in type(self).__attrs_attrs__}

    def what(self) -> str:
        """Say what went wrong."""
        return (type(self).__doc__ or "").split("\n", 1)[0]

    def standing(self) -> str:
        """Say what has happened on each server."""
        return "Nothing was changed on either server."

    def advice(self) -> str:
        """Say what to do next."""
        return ""


def _rebuild(kind: type[LinkError], facts: dict[str, Any]) -> LinkError:
    return kind(**facts)


def _some(items: Sequence[object], most: int = 5) -> str:
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


UNDONE = "The transfer was undone on both servers; earlier chunks of this pull stay."


# ---- settings, connections, privileges


@error_class
class SettingMissing(LinkError):
    """A connection setting is missing."""

    setting: str
    variable: str
    server: str

    def what(self) -> str:
        return f"The {self.setting} for {self.server} is not set."

    def advice(self) -> str:
        return f"Set the environment variable {self.variable}, or pass {self.setting}= explicitly."


@error_class
class ServerUnreachable(LinkError):
    """A server cannot be reached."""

    server: str
    detail: str

    def what(self) -> str:
        return f"The server {self.server} cannot be reached: {self.detail}."

    def advice(self) -> str:
        return "Check host, port, backend and network, then call again."


@error_class
class LoginFailed(LinkError):
    """A server refuses the login."""

    server: str
    user: str

    def what(self) -> str:
        return f"The server {self.server} refuses the login of user {self.user!r}."

    def advice(self) -> str:
        return "Check the user name and the password (LINK_USER and LINK_PASS for a source)."


@error_class
class DriverMissing(LinkError):
    """The package that talks to a kind of server is not installed."""

    server: str
    package: str

    def what(self) -> str:
        return f"The driver for {self.server} is not installed."

    def advice(self) -> str:
        return f"Run: pip install '{self.package}'"


@error_class
class LineNotEncrypted(LinkError):
    """There is no encrypted line to a server."""

    server: str
    detail: str

    def what(self) -> str:
        return f"No encrypted line to {self.server} on the terms asked for: {self.detail}."

    def standing(self) -> str:
        return "The password was not sent."

    def advice(self) -> str:
        return (
            "Let its admin switch TLS on, name the file of the CA that signed its certificate (tls_ca= or LINK_TLS_CA), "
            "or pass use_tls=False on a line that nobody else can listen to."
        )


@error_class
class PrivilegeMissing(LinkError):
    """A privilege is missing."""

    server: str
    user: str
    action: str
    grant: str

    def what(self) -> str:
        return f"User {self.user!r} on {self.server} may not {self.action}."

    def advice(self) -> str:
        return f"Let an admin of that server run: {self.grant}"


@error_class
class ConnectionLost(LinkError):
    """The connection to a server was lost."""

    server: str
    detail: str
    known: str = "What had not been committed is undone by the server."

    def what(self) -> str:
        return f"The connection to {self.server} was lost ({self.detail})."

    def standing(self) -> str:
        return self.known

    def advice(self) -> str:
        return "Call again: the next pull, delete or refresh finishes or undoes what was interrupted."


@error_class
class OutcomeUnknown(LinkError):
    """The reply to a COMMIT was lost: whether the change was made is not known."""

    server: str
    transfer: str
    detail: str = ""

    def what(self) -> str:
        return f"The reply of {self.server} to the COMMIT of transfer {self.transfer} was lost ({self.detail})."

    def standing(self) -> str:
        return "Whether it was carried out is not known; the rows stay registered, so that nothing can be lost."

    def advice(self) -> str:
        return "Call again: the next pull, delete or refresh finds out and finishes or undoes the transfer."


# ---- linking


@error_class
class NoSuchLink(LinkError):
    """A name on the command line is not that of a linked class."""

    name: str
    reason: str

    def what(self) -> str:
        return f"{self.name!r} names no linked class: {self.reason}."

    def advice(self) -> str:
        return "Name the module and the class, for example my_pipeline.links:Session, from where the module can be imported."


@error_class
class SourceTableMissing(LinkError):
    """The source table does not exist."""

    table: str
    schema: str
    near: Sequence[str] = ()

    def what(self) -> str:
        return f"Schema {self.schema!r} on the source server has no table for class {self.table!r}, or it cannot be seen."

    def advice(self) -> str:
        near = f" Near names: {_some(self.near)}." if self.near else ""
        return f"The class must be named like the source table's.{near}"


@error_class
class NotLinkable(LinkError):
    """The source table is of a kind that cannot be linked."""

    table: str
    reason: str

    def what(self) -> str:
        return f"Table {self.table} cannot be linked: {self.reason}."


@error_class
class ColumnNotSupported(NotLinkable):
    """A column of the source table is not known to arrive exactly."""

    column: str
    type: str
    instead: str = ""

    def what(self) -> str:
        return f"Column {self.column!r} ({self.type}) of table {self.table} cannot be copied exactly: {self.reason}."

    def advice(self) -> str:
        return self.instead or "Give the column another type at the source (docs/types.md), or move it to a table of its own."


@error_class
class TableMissing(LinkError):
    """A table that Link needs is missing."""

    server: str
    detail: str

    def what(self) -> str:
        return f"A table that Link needs is missing on {self.server}: {self.detail}."

    def standing(self) -> str:
        return "What was not committed was rolled back."

    def advice(self) -> str:
        return "doctor() says which ones are missing; repair() makes those of Link's own again, and registers the local rows."


@error_class
class SchemaMissing(LinkError):
    """A schema that Link needs is missing."""

    server: str
    schema: str

    def what(self) -> str:
        return f"Schema {self.schema} is missing on {self.server}."

    def standing(self) -> str:
        return "What was not committed was rolled back."

    def advice(self) -> str:
        return (
            "Check the name (LINK_OUTBOUND for outbound). Where it was dropped, an admin makes it again as `python -m link"
            " grants` prints it; repair() then makes outbound again, and registers the local rows."
        )


@error_class
class DeclarationChanged(LinkError):
    """A table is not declared any more as it was when it was linked."""

    table: str
    differences: Sequence[str]

    def what(self) -> str:
        return f"Table {self.table} has changed since it was linked: {'; '.join(self.differences)}."

    def advice(self) -> str:
        return "Undo the change, or drop() the local table (this releases its rows) and link again."


@error_class
class OutboundTaken(LinkError):
    """The outbound table serves another local table already."""

    outbound: str
    taken_by: str
    wanted_by: str
    place: str = ""
    """Where that table is: server id, schema and table."""

    def what(self) -> str:
        return f"Outbound table {self.outbound} serves {self.taken_by} already, so it cannot serve {self.wanted_by} too."

    def advice(self) -> str:
        return (
            "Give this link an outbound schema of its own (LINK_OUTBOUND or outbound=), or drop() the other local table; "
            f"where that one is gone for good, take its place with adopt(instead_of={self.place!r})."
        )


@error_class
class LinkEnded(LinkError):
    """The outbound table does not serve this local table any more."""

    outbound: str

    def what(self) -> str:
        return (
            f"Outbound table {self.outbound} does not serve this local table any more: while this ran, another process "
            "dropped the table, or another table took its place."
        )

    def advice(self) -> str:
        return "Call again to link anew, or to hear whom it serves now."


@error_class
class LinkedElsewhere(LinkError):
    """A local table was linked to another source or outbound than the code says now."""

    table: str
    linked_to: str
    wanted: str

    def what(self) -> str:
        return f"Local table {self.table} is linked to {self.linked_to}, and the code now says {self.wanted}."

    def advice(self) -> str:
        return (
            "Give the link its former source and outbound schema again (LINK_OUTBOUND or outbound=), or drop() the table "
            "there and link anew; where lab S has moved them with all they hold, adopt() tells the link."
        )


@error_class
class LocalTableExists(LinkError):
    """There is a local table of the linked class's name that Link has not made."""

    table: str

    def what(self) -> str:
        return f"There is a table {self.table} already, which Link has not made and does not take over."

    def advice(self) -> str:
        return "Rename or drop that table, or link in another local schema."


@error_class
class Unprotected(LinkError):
    """Outbound does not hold the source's rows."""

    table: str
    faults: Sequence[str]

    def what(self) -> str:
        return f"Outbound table {self.table} does not protect the source's rows: {_some(self.faults)}."

    def standing(self) -> str:
        return "Nothing was registered or copied; rows that are local already may be deleted at the source."

    def advice(self) -> str:
        return "Call repair(), which makes guard and foreign keys again and names the rows that stand in the way."


@error_class
class LocalSideMoved(LinkError):
    """The local table is a clone of the linked one, or was moved to another server."""

    outbound: str
    linked: str
    here: str

    def what(self) -> str:
        return f"Outbound table {self.outbound} is linked to {self.linked}, but this is {self.here} with the same identity."

    def advice(self) -> str:
        return (
            "If the local server was moved and the old one is gone for good, adopt this one with Session().adopt(); "
            "if this is a clone, work on the original or drop the clone's schema."
        )


@error_class
class LocalSideBehind(LinkError):
    """The local server does not know what its own link did last."""

    table: str
    transfer: str
    who: str
    closed: str

    def what(self) -> str:
        return (
            f"Local table {self.table} knows nothing of its link's last transfer ({self.transfer} by {self.who}, closed "
            f"{self.closed}): its server comes from a backup, or another copy of the server is at work on this link."
        )

    def advice(self) -> str:
        return (
            "If this is the real one and no copy of it is in use, call Session().adopt() and then Session().repair(); "
            "otherwise work on the other one."
        )


@error_class
class LegacyOutbound(LinkError):
    """The outbound table was made by datajoint-link 0.11."""

    outbound: str

    def what(self) -> str:
        return f"Table {self.outbound} was made by datajoint-link 0.11 and has no protocol to build on."

    def advice(self) -> str:
        return "Finish what is open there with 0.11, then give this link another outbound schema (LINK_OUTBOUND or outbound=)."


# ---- object stores


@error_class
class StoreNotMapped(ColumnNotSupported):
    """A column keeps its values in an object store that no local store is named for."""

    store: str
    key: Mapping[str, str] = field(factory=dict)
    """Of the row that names a store of its own; empty where the column's declaration does."""

    def what(self) -> str:
        return super().what() + (f" Its row {spelled(self.key)} names that store." if self.key else "")

    def standing(self) -> str:
        return UNDONE if self.key else super().standing()

    def advice(self) -> str:
        return f"Pass stores={{'<a local store>': {self.store!r}}} to Link."


@error_class
class StoreNotConfigured(LinkError):
    """An object store is not configured, or not rightly."""

    store: str
    side: str
    """`local` or `source`."""
    column: str
    """The column that needs it, with its table."""
    detail: str

    def what(self) -> str:
        name = f"Store {self.store!r}" if self.store else "The default store"
        return f"{name} of the {self.side} side, which column {self.column} needs, cannot be used: {self.detail}."

    def advice(self) -> str:
        where = "DataJoint's configuration (stores.<name>)"
        if self.side == "source":
            setting = f"{{{self.store!r}: {{...}}}}" if self.store else "{'default': '<a store>', ...}"
            where = f"stores={setting} of the source's LazySchema, or in {where}"
        return f"Set it up in {where}."


@error_class
class StoreNotAccessible(LinkError):
    """An object store cannot be reached, read or written."""

    store: str
    side: str
    place: str
    """The folder, or the bucket and prefix."""
    action: str
    detail: str

    def what(self) -> str:
        return f"Store {self.store!r} of the {self.side} side cannot be {self.action} at {self.place}: {self.detail}."

    @property
    def is_check(self) -> bool:
        """Whether it was `verify` that could not go on: a pull writes to the local side's stores."""
        return self.side == "local" and self.action == "read"

    def standing(self) -> str:
        if self.is_check:
            return "Nothing was changed."
        return "What was under way is in neither table; earlier chunks of this pull stay."

    def advice(self) -> str:
        again = "verify" if self.is_check else "pull"
        return f"Check the store's settings, the rights on {self.place} and the room there, then {again} again."


@error_class
class StoresCollide(LinkError):
    """Two labs' schemas of one name share a place in one object store."""

    store: str
    source_store: str
    place: str
    schema: str

    def what(self) -> str:
        return (
            f"The local store {self.store!r} and the source's {self.source_store!r} are both {self.place}, and both schemas"
            f" are named {self.schema!r}: each side's garbage collection would remove the other one's objects."
        )

    def advice(self) -> str:
        return "Give the local store a place of its own, or the local schema another name."


@error_class
class ObjectMissing(LinkError):
    """An object that a source row names is not in its store."""

    table: str
    column: str
    store: str
    path: str
    key: Mapping[str, str] = field(factory=dict)
    """Of a row that names the object, of the table or of a part."""

    @property
    def whose(self) -> str:
        """The column and the row that name the object."""
        path = f"{self.path!r} " if self.path else ""
        return f"{path}of column {self.column!r} of {self.table}{f' {spelled(self.key)}' if self.key else ''}"

    def about(self, key: Mapping[str, str]) -> ObjectMissing:
        """Return the same error about another row."""
        return type(self)(**{**self._facts(), "key": key})

    def what(self) -> str:
        return f"Object {self.whose} is not in the source's store {self.store!r}."

    def standing(self) -> str:
        return "Nothing of its entity was written."

    def advice(self) -> str:
        return "Tell lab S; the next pull tries again."


@error_class
class ObjectDamaged(ObjectMissing):
    """An object is not what was recorded of it."""

    expected: str
    found: str

    def what(self) -> str:
        return (
            f"Object {self.whose} in store {self.store!r} is not what its row says: {self.found} instead of {self.expected}."
        )


@error_class
class NotShared(ObjectMissing):
    """A local store that stands for the source's by reference has not got the source's object."""

    source_store: str

    def what(self) -> str:
        return (
            f"The local store {self.store!r} stands for the source's {self.source_store!r} by reference and has not"
            f" got its object {self.whose}."
        )

    def standing(self) -> str:
        return UNDONE

    def advice(self) -> str:
        return "Let both stores be one place, or leave out objects='reference', so that the objects are copied."


@error_class
class ObjectInTheWay(ObjectMissing):
    """The local store has another file where a source's file would go."""

    def what(self) -> str:
        return f"The local store {self.store!r} has another file in the place of {self.whose}."

    def advice(self) -> str:
        return (
            "Nothing is overwritten: map the source's store to a local store of its own, or remove the file where it is a"
            " damaged copy."
        )


# ---- operations


@error_class
class InTransaction(LinkError):
    """An operation was called inside a transaction."""

    operation: str

    def what(self) -> str:
        return f"{self.operation}() was called inside a transaction of the local connection, or inside make()."

    def advice(self) -> str:
        return "Call it outside: it works on both servers and could not be rolled back with your transaction."


@error_class
class BadRestriction(LinkError):
    """A restriction would not mean what it says."""

    reason: str

    def what(self) -> str:
        return f"The restriction was refused: {self.reason}."


@error_class
class WriteRefused(LinkError):
    """A way to write to a linked table that would go past the protocol."""

    method: str
    table: str
    instead: str

    def what(self) -> str:
        return f"{self.method}() is not available on {self.table}: it would go past what Link promises the source."

    def advice(self) -> str:
        return self.instead


@error_class
class Busy(LinkError):
    """Another transfer is at work."""

    what_is_busy: str
    who: str
    since: str
    keys: Sequence[Mapping[str, str]] = ()

    def what(self) -> str:
        keys = f": {_some([spelled(key) for key in self.keys])}" if self.keys else ""
        return f"{self.what_is_busy} is busy with a transfer of {self.who}, open since {self.since}{keys}."

    def advice(self) -> str:
        return (
            "Call again when it is through; if its process has died, calling again finishes or undoes it."
            " Where nobody is at work, doctor() says why."
        )


@error_class
class LockWait(LinkError):
    """A table's definition is locked."""

    table: str
    holders: Sequence[str]
    seconds: float

    def what(self) -> str:
        held = f", held by {_some(self.holders)}" if self.holders else ""
        return f"Waited {self.seconds:g} s for the lock on table {self.table}{held}."

    def advice(self) -> str:
        return "Let those sessions commit, roll back or disconnect, then call again."


@error_class
class TransferAbandoned(LinkError):
    """The transfer was abandoned by another process that took its owner for dead."""

    transfer: str

    def standing(self) -> str:
        return "Its local part was rolled back, its source part is being undone."

    def advice(self) -> str:
        return "Call again."


@error_class
class KeyConflict(LinkError):
    """Local rows stand in the way."""

    table: str
    keys: Sequence[Mapping[str, str]]
    columns: Sequence[str] = ()
    detail: str = ""

    def what(self) -> str:
        differ = f", differing in {_some(self.columns)}" if self.columns else ""
        keys = _some([spelled(key) for key in self.keys]) if self.keys else self.detail
        return f"Rows of the local table {self.table} stand in the way: {keys}{differ}."

    def standing(self) -> str:
        return "Nothing was overwritten; the transfer was undone."

    def advice(self) -> str:
        return (
            "Delete or rename them, then pull again. A unique index also refuses a value that an earlier copy still has and "
            "that lab S has given to another row since: delete() that copy and pull both."
        )


@error_class
class ValueNotRepresentable(LinkError):
    """A value cannot be held exactly by the local server."""

    table: str
    detail: str
    column: str = ""
    key: Mapping[str, str] = field(factory=dict)
    """The key of the row, which is a part's own where `table` is a part."""
    value: str = ""
    """The value as the source's server renders it, shortened."""

    def what(self) -> str:
        column = f", column {self.column!r}" if self.column else ""
        value = f" {self.value}" if self.value else ""
        row = f", row {spelled(self.key)}" if self.key else ""
        place = f"table {self.table}{row}{column}"
        return f"The value{value} of {place}, cannot be held exactly by the local server: {self.detail}."

    def standing(self) -> str:
        return "Nothing of its entity was written."

    def advice(self) -> str:
        return "Change the value at the source and pull again, or leave the entity out with a restriction."


@error_class
class PacketTooLarge(LinkError):
    """A row is larger than what a server takes in one statement."""

    server: str
    setting: str
    limit: str

    def what(self) -> str:
        return f"A row, or a list of keys, does not fit into one statement for {self.server} ({self.setting} is {self.limit})."

    def standing(self) -> str:
        return "The transfer was undone on both servers; earlier chunks of a pull stay."

    def advice(self) -> str:
        return f"Let an admin of that server raise {self.setting}, then call again."


@error_class
class IncompleteCopy(LinkError):
    """The local server does not hold what was sent to it."""

    table: str
    expected: int
    found: int

    def what(self) -> str:
        return f"The local server holds {self.found:,} rows of {self.table} where {self.expected:,} were sent."

    def standing(self) -> str:
        return "The transfer was undone on both servers."

    def advice(self) -> str:
        return "Look for triggers or rules on the local table, then pull again."


@error_class
class RemovalChanged(LinkError):
    """More rows would go than were confirmed."""

    confirmed: Mapping[str, int]
    found: Mapping[str, int]

    def what(self) -> str:
        more = [
            f"{table} ({self.confirmed.get(table, 0):,} confirmed, {count:,} found)"
            for table, count in self.found.items()
            if count > self.confirmed.get(table, 0)
        ]
        return f"More rows depend on what is to be deleted than were shown and confirmed: {_some(more)}."

    def standing(self) -> str:
        return "The delete was rolled back on both servers."

    def advice(self) -> str:
        return "Look at the new rows, then delete again."


@error_class
class DeleteBlocked(LinkError):
    """The local delete is blocked."""

    table: str
    detail: str

    def what(self) -> str:
        return f"Rows of {self.table} cannot be deleted: {self.detail}."

    def standing(self) -> str:
        return "The delete was rolled back on both servers."


@error_class
class NoTerminal(LinkError):
    """There is nobody to confirm it."""

    def advice(self) -> str:
        return "Pass prompt=False, or set dj.config['safemode'] = False, to go on without being asked."


@error_class
class InconsistentState(LinkError):
    """What the servers say of some keys does not fit together."""

    keys: Sequence[Mapping[str, str]]
    faults: Sequence[str]

    def what(self) -> str:
        pairs = [f"{spelled(key)} is {fault}" for key, fault in zip(self.keys, self.faults, strict=True)]
        return f"What the two servers say does not fit together: {_some(pairs)}."

    def advice(self) -> str:
        return "Other keys can be worked on; repair() puts these right as far as no row is lost, and says what is left."


@error_class
class ServerRefused(LinkError):
    """A server refused a statement."""

    server: str
    detail: str

    def what(self) -> str:
        return f"The server {self.server} refused a statement: {self.detail}."

    def standing(self) -> str:
        return "What was not committed was rolled back."
