"""What the use cases need of the two servers, in batches.

Each method is one unit: it has happened as a whole or not at all. Two kinds of failure are told apart everywhere:
`link.domain.errors.LinkError` and its children mean that the unit has not happened; `OutcomeUnknown` means that nobody
here knows. A port never decides what should be done, it reports and does. Keys are given and returned in one order and
never compared in Python; answers about a batch are positions in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from link.domain.errors import ObjectMissing, ValueNotRepresentable
    from link.domain.keys import Key, Keys
    from link.domain.transfers import OpenTransfer, Operation, Outcome, Transfer
    from link.use_cases.inspection import Inspector


@frozen(kw_only=True)
class SourceEvidence:
    """What the source server says about one key."""

    in_source: bool
    registered: bool = False
    requested: bool = False
    approved: bool = False
    transfer: Operation | None = None
    """The operation of the open transfer it is part of."""


@frozen(kw_only=True)
class Page:
    """Some keys of a selection, in the order of the source's primary key, with what the source server says of them."""

    keys: Sequence[Key]
    evidence: Sequence[SourceEvidence]
    last: bool
    """Whether the selection ends with this page."""


@frozen(kw_only=True)
class Chunk:
    """Whole entities (masters with their parts) as one snapshot of the source, and their keys.

    `rows` belongs to the adapters: they agree among themselves on what it is.
    """

    keys: Sequence[Key]
    rows: object = field(repr=False)
    respelled: Mapping[str, Mapping[int, int]] = field(factory=dict, repr=False)
    """By part: the places of rows that spell their master's key otherwise, as the source lets them, and of the masters."""


@frozen(kw_only=True)
class Settled:
    """What became of the registrations that were given up."""

    released: int = 0
    approved: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(released=self.released + other.released, approved=self.approved + other.approved)


@frozen(kw_only=True)
class Difference:
    """A local row that stands in the way of a source row."""

    key: Mapping[str, str]
    columns: Sequence[str]
    """The columns in which the two rows differ; empty where they differ in no value, or only in the spelling of the key."""


@frozen(kw_only=True)
class Removal:
    """What a delete takes away: how many rows of which table, the linked table first."""

    counts: Mapping[str, int]

    def exceeds(self, confirmed: Removal, *, besides: str = "") -> bool:
        """Whether more would go from some table than `confirmed` says, `besides` one of Link's own."""
        return any(count > confirmed.counts.get(table, 0) for table, count in self.counts.items() if table != besides)


class Source(Protocol):
    """Reads the source table."""

    def page(self, selection: object, after: Key | None, limit: int) -> Page:
        """Return the first `limit` keys of `selection` that come after `after`; None selects all, from the start."""

    def read(self, keys: Keys) -> Chunk:
        """Return the entities of `keys` as they are, without registering them: to compare, never to copy."""

    def split(self, keys: Keys) -> Sequence[Keys]:
        """Divide `keys`, in order, into runs whose entities fit into memory; a run has one key at the least.

        The objects that entities keep outside of the database count too: what a run brings should take minutes, not days.
        """

    def expected(self, selection: object) -> int:
        """Return how many bytes of such objects the entities of `selection` that are not registered name, by its records."""


class Outbound(Protocol):
    """Keeps the registrations, flags and transfers of one link on the source server."""

    def open_transfers(self) -> Sequence[OpenTransfer]:
        """Return the transfers of this link that are not closed, oldest first; other links' transfers are never seen."""

    def is_alive(self, transfer: Transfer) -> bool:
        """Whether the run that opened `transfer` still holds its advisory lock on the source server."""

    def evidence(self, keys: Keys) -> Sequence[SourceEvidence]:
        """Return what the source server says about each of `keys`, in their order."""

    def register(self, transfer: Transfer, fresh: Keys, lost: Keys) -> Chunk:
        """Open `transfer`, register `fresh`, put the settled registrations `lost` under it, read the entities.

        One transaction, then a read: masters and parts are one snapshot, taken once they are registered. A key that is gone
        from the source, that somebody else has registered meanwhile, or that is no longer settled, unrequested and unapproved
        is left out of the chunk.
        """

    def mark(self, transfer: Transfer, keys: Keys) -> int:
        """Open `transfer` unless it is open, and put the settled, unapproved registrations among `keys` under it.

        Returns how many of `keys` are under `transfer` now. Repeating it changes nothing.
        """

    def rows(self, transfer: Transfer, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` keys after `after` whose last transfer is `transfer`."""

    def give_up(self, transfer: Transfer, keys: Keys) -> Settled | None:
        """Take away the registrations of `keys`: those requested at this moment become approved, the others are released.

        Does nothing and returns None where `transfer` is closed already. Only keys whose last transfer is `transfer`
        and that are not approved are touched, so that repeating it changes nothing. A request for a row that is gone from
        the source has nothing left to approve: it goes with the registration.
        """

    def close(self, transfer: Transfer) -> bool:
        """Close `transfer`; False where it was not open (any more)."""

    def requested(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` keys after `after` that lab S wants gone and that are not approved."""

    def withdrawn(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` settled keys after `after` that are approved, but not requested or not in the source."""

    def release_withdrawn(self, keys: Keys) -> int:
        """Release those of `keys` that are settled, approved, and not requested or not in the source; return how many."""

    def reinstate(self, transfer: Transfer, keys: Keys) -> int:
        """Open `transfer`; have the settled and the unregistered ones of `keys` registered, unapproved and held under it.

        Keys that are not in the source are left out. Returns how many of `keys` are under `transfer` now.
        """

    def drop_stray_flags(self, keys: Keys) -> int:
        """Take away the flags of those of `keys` that are neither registered nor in the source; return how many keys."""


class Local(Protocol):
    """Keeps the copies and the decisions of one link on the local server."""

    def present(self, keys: Keys) -> Sequence[int]:
        """Return the positions of those of `keys` that the local table holds, as the local server compares keys."""

    def clashes(self, keys: Keys) -> Sequence[int]:
        """Return the positions of those of `keys` that the local server takes for equal to another one of them."""

    def named(self, key: Key) -> Mapping[str, str]:
        """Return `key` with the names of its attributes, for messages."""

    def difference(self, chunk: Chunk) -> Sequence[Difference]:
        """Return how the local rows under the keys of `chunk` differ from its rows."""

    def is_alive(self, transfer: Transfer) -> bool:
        """Whether the run that opened `transfer` still holds its advisory lock on the local server."""

    def unfit(self, chunk: Chunk) -> Sequence[tuple[int, ValueNotRepresentable]]:
        """Return the positions of the chunk's entities with a value that cannot be held exactly here, each with one of these.

        What only the server itself can tell is left to `commit_pull`.
        """

    def commit_pull(self, transfer: Transfer, chunk: Chunk) -> None:
        """Record `transfer` as done and insert the chunk, in one transaction: the point of decision.

        Raises `TransferAbandoned` where somebody has abandoned it, `OutcomeUnknown` where the reply to COMMIT was lost,
        `ValueNotRepresentable` where a value cannot be held exactly.
        """

    def commit_delete(self, transfer: Transfer | None, keys: Keys, confirmed: Removal | None) -> Removal:
        """Record `transfer` as done and delete `keys` with all that depends on them, in one transaction.

        Without `confirmed` nothing is deleted, and it is checked that none of `keys` is local. With it, more than it says
        must not go (`RemovalChanged`), and none of `keys` may be left. Raises as `commit_pull` does.
        """

    def abandon(self, transfer: Transfer) -> Outcome:
        """Record `transfer` as abandoned unless it is decided, and return the decision that stands.

        After `ABANDONED` its owner can never commit it. Raises `Busy` where the owner is in the middle of its local
        transaction for longer than the set time.
        """

    def select(self, selection: object) -> Sequence[Key]:
        """Return the keys of a selection of the local table."""

    def preview(self, keys: Keys) -> Removal:
        """Count what deleting `keys` would take with it, without locking or writing anything."""

    def requests(self) -> Sequence[Key]:
        """Return the keys that the local table shows as requested."""

    def change_requests(self, add: Keys, drop: Keys) -> int:
        """Show `add` as requested, and `drop` no longer; return how many were not shown before."""


class Objects(Protocol):
    """Brings along what rows keep outside of the database."""

    def prepare(self) -> None:
        """See that everything needed is there and may be used, and tidy up after earlier pulls; before anything is registered.

        Raises `StoreNotMapped`, `StoreNotConfigured`, `StoreNotAccessible`, `StoresCollide`.
        """

    def bring(self, transfer: Transfer, chunk: Chunk) -> tuple[Chunk, Sequence[tuple[int, ObjectMissing]]]:
        """Copy what the rows of `chunk`, registered under `transfer`, refer to; return it with rows that name the copies.

        With it come the positions of entities whose objects are not there or not what is recorded of them, and an error for
        each: where there are any, what is returned must not be committed, else every copy is whole. Whether it returns or
        raises, what has been copied stays until the transfer is decided and goes by itself where no row came to name it.
        """


class NothingStored:
    """A table whose rows are complete in themselves."""

    def prepare(self) -> None:
        """There is nothing to see."""

    def bring(self, transfer: Transfer, chunk: Chunk) -> tuple[Chunk, Sequence[tuple[int, ObjectMissing]]]:
        """Return `chunk` as it is."""
        return chunk, ()


class Progress(Protocol):
    """Is told how far an operation is."""

    def begin(self, task: str) -> None:
        """Hear that `task` starts; how many entities it will be is not known."""

    def advance(self, entities: int) -> None:
        """Hear that `entities` more are done."""

    def expect(self, amount: Callable[[], int]) -> None:
        """Hear how to find out how many bytes of objects the task will bring, which is asked only where somebody watches."""

    def carry(self, size: int) -> None:
        """Hear that `size` more bytes of objects have arrived, or were there; from one thread at a time, of several."""

    def end(self) -> None:
        """Hear that the task is over, or has failed."""


@frozen(kw_only=True)
class Ports:
    """Everything a use case works with: one link."""

    source: Source
    outbound: Outbound
    local: Local
    inspector: Inspector
    progress: Progress
    objects: Objects = field(factory=NothingStored)
    owner: UUID
    """The id of this run, under which both servers show it to be alive."""
    clock: Callable[[], float]
    """Seconds from some start, for results."""
    chunk: int = 10_000
    """How many entities a page or a transfer has at the most."""
