"""The class that the decorator makes: a DataJoint table from decoration on, resolved on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datajoint.heading import Heading
from datajoint.user_tables import Part, PartMeta, TableMeta, UserTable

from link.domain.errors import BadRestriction, InTransaction
from link.infrastructure import ways
from link.infrastructure.careful import Careful, refuse, refuse_all, selection_of

if TYPE_CHECKING:
    from link.infrastructure.operations import Operations, Place
    from link.infrastructure.source_table import SourceTable
    from link.use_cases.results import DeleteResult, DoctorResult, PullResult, RefreshResult, RepairResult, VerifyResult

_ON_INSTANCES = frozenset({*ways.PROTOCOL, *ways.DIRECT, *ways.REFUSED, *ways.READING}) - ways.OF_THE_CLASS


class LinkedMeta(TableMeta):
    """Lets every method work on the class too, and finds parts when they are first asked for."""

    def __init__(cls, name: str, bases: tuple[type, ...], facts: dict[str, Any], **options: Any) -> None:
        if any(_is_linked(base) for base in bases):
            message = f"{name} cannot be made from a linked class, which stands for one table: link a class of its own"
            raise TypeError(message)
        super().__init__(name, bases, facts, **options)

    def __getattribute__(cls, name: str) -> Any:
        if name in _ON_INSTANCES:
            return getattr(cls(), name)
        return super().__getattribute__(name)

    def __getattr__(cls, name: str) -> Any:
        if name[:1].isupper() and _is_linked(cls):
            part = cls._resolved().parts.get(name)
            if part is not None:
                return part
        message = f"type object {cls.__name__!r} has no attribute {name!r}"
        raise AttributeError(message)

    def __dir__(cls) -> list[str]:
        return [*super().__dir__(), *_ON_INSTANCES]

    def __repr__(cls) -> str:
        return f"<linked table {cls.__name__}>"


def _is_linked(cls: type) -> bool:
    """Whether `cls` was made by the decorator."""
    return "_operations" in vars(cls)


class _Resolved:
    """An attribute that DataJoint reads of a class or an instance, known once the local table exists."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.lstrip("_")

    def __get__(self, instance: object, owner: Any) -> Any:
        if not _is_linked(owner):
            return None
        return getattr(owner._resolved(), self._name)


class Resolved:
    """Where a linked class's tables are, as DataJoint wants to know it."""

    def __init__(self, cls: Any, place: Place) -> None:
        self.connection = place.connection
        self.database = place.schema
        self.prefix = place.table[: len(place.table) - len(place.table.lstrip("#_"))]
        self.declaration_context = {cls.__name__: cls}
        self.heading = _heading(place, place.table)
        self.support = [place.connection.adapter.make_full_table_name(place.schema, place.table)]
        self.parts = {name: _part(cls, place, name, table) for name, table in place.parts.items()}


def _heading(place: Place, table: str) -> Heading:
    info = {"conn": place.connection, "database": place.schema, "table_name": table, "context": None}
    return Heading(table_info=info)


class LinkedTable(Careful, UserTable, metaclass=LinkedMeta):
    """A local table whose rows come from a source table on another server.

    Reading, joining and `-> ` need the local server alone once the table exists; `source`, `pull`, `refresh`, `delete`,
    `drop` need the source's too. Each of those refuses to run inside a transaction (`InTransaction`), resumes what an
    earlier call left unfinished, and raises children of `link.domain.errors.LinkError`.
    """

    _connection = _Resolved()
    _heading = _Resolved()
    _support = _Resolved()
    _prefix = _Resolved()
    database = _Resolved()
    declaration_context = _Resolved()
    definition = "a linked table is declared from its source"

    @classmethod
    def _resolved(cls) -> Resolved:
        """Return where the tables are; declares them from the source on the very first use."""
        known: Resolved | None = vars(cls).get("_known")
        if known is None:
            known = Resolved(cls, cls._operations.place())
            cls._known = known
            for name, part in known.parts.items():
                setattr(cls, name, part)
        return known

    _operations: Operations

    def __getattr__(self, name: str) -> Any:
        if name[:1].isupper():
            return getattr(type(self), name)
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(message)

    @property
    def source(self) -> SourceTable:
        """The source table, to browse and to pull from; connects to the source."""
        return self._operations.source()

    def pull(self, *restrictions: Any) -> PullResult:
        """Pull what satisfies all `restrictions` (any that DataJoint knows, on the source table); none pulls everything.

        Entities that are local already, whose deletion was requested, or that another transfer is at work on are left.
        """
        self._outside("pull")
        if self.restriction or self._top is not None:
            reason = "it is on the local table, and a pull selects from the source; call pull(restriction)"
            raise BadRestriction(reason=reason)
        if not restrictions:
            return self._operations.pull(None)
        return self.source.pull(*restrictions)

    def refresh(self) -> RefreshResult:
        """Bring `DeletionRequested` in line with what lab S wants gone."""
        self._outside("refresh")
        return self._operations.refresh()

    def delete(
        self,
        transaction: bool = True,
        prompt: bool | None = None,
        part_integrity: str = "enforce",
    ) -> DeleteResult:
        """Delete the rows with all that depends on them, and release them at the source, or approve their deletion.

        Shows what goes and asks, unless `prompt` or `safemode` is False; a "no" changes nothing anywhere. Returns the number
        of masters deleted, which carries the rest as attributes. `transaction` must stay True.
        """
        self._outside("delete")
        if not transaction or part_integrity != "enforce":
            refuse("delete", self, "A linked table is deleted from whole, in a transaction of its own.")
        return self._operations.delete(selection_of(self), prompt=prompt)

    def drop(self, prompt: bool | None = None, part_integrity: str = "enforce") -> None:
        """Release all rows at the source, give outbound back, and drop the local tables with all that depends on them."""
        self._outside("drop")
        if self.restriction or self._top is not None:
            refuse("drop", self, "Call drop() without a restriction.")
        cls = type(self)
        if self._operations.drop(prompt=prompt) and "_known" in vars(cls):
            for name in cls._known.parts:
                delattr(cls, name)
            del cls._known

    def adopt(self, instead_of: str | None = None) -> None:
        """Tell the source that this local table has moved to another server or schema for good.

        A table that was linked anew because the one that outbound serves is gone (dropped without Link, its server lost)
        takes that one's place, and with it its registrations: pull() then brings the rows back, drop() lets them go. Where
        the two are at different places, `instead_of` names the old one as the error does: to say it is to vouch for it.
        Raises `OutboundTaken` otherwise.
        """
        self._outside("adopt")
        self._operations.adopt(instead_of=instead_of)

    def doctor(self) -> DoctorResult:
        """Check all that the link rests on; print the result. Nothing is changed, and other runs may go on meanwhile."""
        self._outside("doctor")
        return self._operations.doctor()

    def repair(self, *, release_lost: bool = False, prompt: bool | None = None) -> RepairResult:
        """Put right what `doctor` finds as far as no row is lost by it, and name the rest key by key.

        Shows what was found and asks, unless `prompt` or `safemode` is False. No local row and no row of the source is ever
        removed. `release_lost` gives up the registrations of rows that are not local any more, instead of leaving them for
        the next pull.
        """
        self._outside("repair")
        return self._operations.repair(release_lost=release_lost, prompt=prompt)

    def verify(self, *, deep: bool = False) -> VerifyResult:
        """Compare the stored objects of the rows, or of those of a restriction, and of their parts with what the rows say.

        By sizes, or by contents where `deep`, which reads them all; a size that is not recorded, an array's, is compared by
        the latter alone. Print the result. Nothing is changed, and neither the source nor its stores are needed.
        """
        self._outside("verify")
        return self._operations.verify(selection_of(self), deep=deep)

    def insert(self, rows: Any, replace: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Insert rows that did not come from the source, where Link allows it; never replaces a row."""
        self._direct("insert", replace=replace)
        return super().insert(rows, replace, *args, **kwargs)

    def insert1(self, row: Any, replace: bool = False, **kwargs: Any) -> Any:
        """Insert a row that did not come from the source, where Link allows it; never replaces a row."""
        self._direct("insert1", replace=replace)
        return super().insert1(row, replace=replace, **kwargs)

    def _direct(self, method: str, *, replace: bool) -> None:
        if not self._operations.allow_direct_insert:
            refuse(method, self, ways.ALLOW)
        if replace:
            refuse(method, self, ways.REPLACE)

    def _outside(self, operation: str) -> None:
        known = vars(type(self)).get("_known")
        connection = known.connection if known is not None else self._operations.local_connection
        if connection.in_transaction:
            raise InTransaction(operation=operation)


class LinkedPart(Careful, Part, metaclass=PartMeta):
    """A part of a linked table: read it as any table; its rows come and go with their masters."""

    definition = "a linked table is declared from its source"

    def _called(self) -> str:
        return f"part {type(self).__name__} of linked table {self._master.__name__}"


def _part(cls: Any, place: Place, name: str, table: str) -> type:
    facts = {
        "_master": cls,
        "_connection": place.connection,
        "database": place.schema,
        "_heading": _heading(place, table),
        "_support": [place.connection.adapter.make_full_table_name(place.schema, table)],
        "declaration_context": {cls.__name__: cls},
        "_table_name": table,
    }
    return PartMeta(name, (LinkedPart,), facts)


refuse_all(LinkedTable, ways.REFUSED)
refuse_all(LinkedPart, ways.REFUSED_ON_PARTS)
