"""Two servers in memory: what is on them, and what the two labs do to it without Link."""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from attrs import Factory, define, field

from link.domain.errors import LinkError, error_class
from link.domain.states import Evidence
from link.use_cases.inspection import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from link.domain.keys import Key
    from link.domain.transfers import Operation, Outcome, Transfer

Row: TypeAlias = tuple[str, ...]
"""A master's value, then its parts' values."""
TABLE = "entity"
"""What the linked table is called in messages and in what a delete takes away."""


class Fault(Enum):
    """What can happen to a run at a step."""

    FAIL = "the connection is lost before the step"
    STALL = "a commit hangs in the middle of its transaction, in the step `stalled in …`; other steps take no notice"
    LOSE_REPLY = "the step is done, but its reply is lost"
    DELAY = "the step's COMMIT is under way when the connection is lost, and arrives later or never"
    DELAY_AND_DIE = "the process dies while the step's COMMIT is under way, which arrives later or never"
    DIE = "the process dies before the step"
    DIE_AFTER = "the process dies after the step"


class SeededFaults:
    """Faults drawn from a seed, for `World.at_step`: the same seed meets the same steps with the same faults."""

    def __init__(self, seed: int, rate: float = 0.05, faults: Sequence[Fault] = tuple(Fault)) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._rate, self._faults = rate, faults

    def __call__(self, owner: UUID, step: str) -> Fault | None:
        """Return the fault of a step, or None for the most of them; only a commit can be delayed."""
        if self._random.random() >= self._rate:
            return None
        fault = self._random.choice(self._faults)
        delayed = fault in {Fault.DELAY, Fault.DELAY_AND_DIE}
        return None if delayed and not step.startswith("commit") else fault


class Death(BaseException):
    """The end of a run's process, as far as a simulation goes; nothing catches it."""


@error_class
class GuardRefused(LinkError):
    """Lab S's server refuses: the row is in use by a link."""


@define
class Entry:
    """A row of the journal."""

    transfer: Transfer
    link: str
    number: int
    """How many were opened before it."""
    is_open: bool = True


@define
class Registration:
    """A row of outbound."""

    transfer: UUID
    """The last transfer that touched it."""
    held: bool = True
    """Whether the guard holds it; that of an approved row does not matter."""
    by: UUID = field(default=Factory(lambda self: self.transfer, takes_self=True))
    """The transfer that registered it."""


@define
class World:
    """Both servers, with one link's tables; every step of a port goes through `at_step`, which may delay it or fault it."""

    source: dict[Key, Row] = field(factory=dict)
    outbound: dict[Key, Registration] = field(factory=dict)
    requested: set[Key] = field(factory=set)
    approved: set[Key] = field(factory=set)
    journal: dict[UUID, Entry] = field(factory=dict)
    local: dict[Key, Row] = field(factory=dict)
    shown: set[Key] = field(factory=set)
    dependents: dict[str, list[Key]] = field(factory=dict)
    """The user's own local tables, by name: for each row the key it depends on."""
    decisions: dict[UUID, Outcome] = field(factory=dict)
    deciding: set[UUID] = field(factory=set)
    """The transfers whose decision is inserted and not committed."""
    alive: set[UUID] = field(factory=set)
    lone_parts: set[Key] = field(factory=set)
    """Local parts whose master somebody removed past their foreign key."""
    standing: Standing = field(factory=Standing)
    """What is wrong apart from keys, for `doctor`."""
    delayed: list[Callable[[], None]] = field(factory=list)
    """COMMITs under way."""
    at_step: Callable[[UUID, str], Fault | None] = field(default=lambda _owner, _step: None)
    """Called with the run and the name of each step before it is taken; what it returns happens to the run."""
    same: Callable[[Key], Key] = field(default=lambda key: key)
    """The local server's collation: keys for which it returns the same are equal there."""

    unfit: set[Key] = field(factory=set)
    """The keys of entities with a value that the local server cannot hold."""

    without_objects: set[Key] = field(factory=set)
    """The keys of entities that name an object that is not there."""

    # ---- lab S, with plain DataJoint

    def insert(self, key: Key, *values: str) -> None:
        """Lab S inserts an entity."""
        self.source.setdefault(key, values)

    def update(self, key: Key, *values: str) -> None:
        """Lab S changes the values of an entity, registered or not."""
        if key in self.source:
            self.source[key] = values

    def request(self, key: Key) -> None:
        """Lab S asks for a deletion; the foreign key wants a registration."""
        if key not in self.outbound:
            raise GuardRefused
        self.requested.add(key)

    def withdraw(self, key: Key) -> None:
        """Lab S takes a request back."""
        self.requested.discard(key)

    def delete(self, key: Key) -> None:
        """Lab S deletes an entity, with DataJoint's cascade; the guard refuses unless it is unregistered or approved."""
        if key in self.outbound and key not in self.approved and self.outbound[key].held:
            raise GuardRefused
        self.requested.discard(key)
        self.approved.discard(key)
        self.outbound.pop(key, None)
        self.source.pop(key, None)

    # ---- lab L, behind Link's back

    def lose(self, key: Key) -> None:
        """Somebody removes a local row by hand."""
        self.local.pop(key, None)
        self.shown.discard(key)
        for parents in self.dependents.values():
            parents[:] = [parent for parent in parents if parent != key]

    def make_up(self, key: Key, *values: str) -> None:
        """Somebody inserts a local row by hand."""
        self.local.setdefault(key, values)

    def depend(self, table: str, *keys: Key) -> None:
        """Lab L inserts rows into a table of its own that depends on the local one, one row for each of `keys`."""
        self.dependents.setdefault(table, []).extend(keys)

    # ---- what can be seen

    def held(self) -> dict[Key, Key]:
        """Return the keys of the local table by what the local server compares of them."""
        return {self.same(key): key for key in self.local}

    def operation(self, key: Key) -> Operation | None:
        """Return the operation of the open transfer that has a key."""
        registration = self.outbound.get(key)
        entry = self.journal.get(registration.transfer) if registration else None
        return entry.transfer.operation if entry is not None and entry.is_open else None

    def evidence(self, key: Key) -> Evidence:
        """Return what both servers say of a key."""
        return Evidence(
            in_source=key in self.source,
            registered=key in self.outbound,
            in_local=key in self.local,
            requested=key in self.requested,
            approved=key in self.approved,
            transfer=self.operation(key),
        )

    def violations(self) -> list[str]:
        """Say where local ⊆ outbound ⊆ source does not hold."""
        found = [f"{key} is registered, but not in source" for key in self.outbound.keys() - self.source.keys()]
        return found + [f"{key} is local, but not registered" for key in self.local.keys() - self.outbound.keys()]

    def deliver(self) -> None:
        """Let the oldest COMMIT under way arrive."""
        if self.delayed:
            self.delayed.pop(0)()
