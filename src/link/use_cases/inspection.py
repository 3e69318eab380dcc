"""What `doctor`, `repair` and `verify` need of servers and stores beside the ports of the other use cases."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from link.domain.keys import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from link.domain.findings import Finding
    from link.domain.keys import Key, Keys
    from link.domain.transfers import OpenTransfer
    from link.use_cases.ports import Page


@frozen(kw_only=True)
class Parts:
    """An entity whose parts have different numbers of rows on the two sides."""

    position: int
    """Of its key in the batch that was asked about."""
    missing: bool
    """Whether rows of some part are missing locally; otherwise the local side has more."""


class Inspector(Protocol):
    """Looks at both servers page by page; writes nothing."""

    def registrations(self, after: Key | None, limit: int) -> Page:
        """Return the first `limit` registered keys after `after`, be they in the source or not."""

    def unheld(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` settled keys after `after` that are registered and unapproved, but not held."""

    def stray_flags(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` keys after `after` that are requested or approved, but not registered."""

    def copies(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` keys of the local table after `after`, in the local server's order."""

    def lone_parts(self, after: Key | None, limit: int) -> Sequence[Key]:
        """Return the first `limit` keys after `after` of local part rows whose master is not local, likewise."""

    def uneven(self, keys: Keys) -> Sequence[Parts]:
        """Return those of `keys` of which the two servers have different numbers of rows in some part."""

    def alike(self, keys: Keys) -> Sequence[int]:
        """Return the positions of those of `keys` whose master both servers have, with equal values in every column."""

    def shown(self, keys: Keys) -> Sequence[int]:
        """Return the positions of those of `keys` that the local table shows as requested."""

    def decisions_unknown(self) -> int:
        """Count this link's decisions on the local server about transfers that the journal does not have."""

    def transfers_undecided(self) -> int:
        """Count the closed transfers that registered rows are under and that the local server has not decided."""

    def age(self, transfer: OpenTransfer) -> float:
        """Return for how many seconds `transfer` has been open, by the source server's clock."""


class Premises(Protocol):
    """What the other ports take for granted: tables, guard, rights, lines."""

    def look(self) -> Standing:
        """Return what is wrong with them; read-only."""

    def mend(self) -> None:
        """Make again what is missing or altered of Link's own, and can be; changing nothing else, and safe to repeat."""


@frozen(kw_only=True)
class Standing:
    """What stands, apart from keys."""

    findings: Sequence[Finding] = ()
    readable: bool = True
    """Whether the tables are there, so that keys can be looked at."""
    lines: Sequence[str] = ()
    """The state of each connection in words."""


class Harm(Enum):
    """What can be wrong with an object of a local row."""

    MISSING = "missing"
    DAMAGED = "not what its row says"
    UNREADABLE = "not readable"


@frozen(kw_only=True)
class ObjectFault:
    """An object that a local row names and that is missing or not what the row says."""

    table: str
    column: str
    key: Mapping[str, str]
    """Of the row, a part's row too, as the server writes it."""
    store: str
    path: str
    """In the local store."""
    harm: Harm
    detail: str = ""
    is_theirs: bool = False
    """Whether it is lab S's own object, which the local row points at."""

    def __str__(self) -> str:
        what = repr(self.path) if self.path else "its object"
        return f"{self.table} {spelled(self.key)} {self.column}: {what} in store {self.store!r} is {self.said}"

    @property
    def said(self) -> str:
        """What is wrong, with what was found."""
        return f"{self.harm.value}: {self.detail}" if self.detail else self.harm.value


@frozen(kw_only=True)
class Seen:
    """A page of rows whose objects were looked at."""

    rows: int
    objects: int
    """How many values of them name an object."""
    size: int
    """Bytes of what was looked at; what several values of a page name alike is looked at once."""
    faults: Sequence[ObjectFault] = ()


class Contents(Protocol):
    """The objects of local rows and what the rows say of them; writes nothing."""

    def check(self, selection: object, *, deep: bool) -> Iterator[Seen]:
        """Yield page after page of the rows of `selection` and their parts, compared by sizes, or by contents where `deep`.

        Raises `StoreNotConfigured` and `StoreNotAccessible` for a store that cannot be seen at all.
        """
