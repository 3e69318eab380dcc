"""The states of an entity between two servers, as one table of data.

`TABLE` says which combinations of evidence are a state; every other combination is an inconsistency, named by the first
line of `FAULTS` that fits. `TRANSITIONS` says which event leads from which state to which.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from attrs import fields, frozen

from link.domain.transfers import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator


class State(Enum):
    """Where an entity stands."""

    ABSENT = "absent"
    IDLE = "idle"
    PULLING = "pulling"
    PULLED = "pulled"
    DELETION_REQUESTED = "deletion requested"
    DELETING = "deleting"
    DELETION_APPROVED = "deletion approved"
    REQUEST_WITHDRAWN = "request withdrawn after approval"
    LOST_LOCALLY = "lost locally"
    LOCAL_ONLY = "local only"


class Inconsistency(Enum):
    """Evidence that no sequence of Link's steps and of the labs' allowed moves leads to."""

    REGISTRATION_WITHOUT_SOURCE = "registered in outbound, but not in the source table"
    FLAG_WITHOUT_REGISTRATION = "flagged in outbound's parts, but not registered in outbound"
    TRANSFER_WITHOUT_REGISTRATION = "part of an open transfer, but not registered in outbound"
    APPROVED_BUT_LOCAL = "deletion approved, but still in the local table"


@frozen(kw_only=True)
class Evidence:
    """What both servers say about one key."""

    in_source: bool
    registered: bool
    in_local: bool
    requested: bool
    approved: bool
    transfer: Operation | None
    """The operation of the open transfer that the key is part of, if any."""


@frozen
class Pattern:
    """One line of the table: a column that is None may be either."""

    in_source: bool | None
    registered: bool
    in_local: bool | None
    requested: bool | None
    approved: bool | None
    transfer: Operation | None

    def fits(self, evidence: Evidence) -> bool:
        """Whether `evidence` is an instance of this line."""
        return evidence.transfer == self.transfer and all(
            wanted is None or wanted == getattr(evidence, name)
            for name, wanted in ((column.name, getattr(self, column.name)) for column in fields(Pattern)[:5])
        )


_: bool | None = None
YES, NO = True, False
TABLE: dict[State, Pattern] = {
    #                                 source registered local requested approved open transfer
    State.ABSENT: Pattern(NO, NO, NO, NO, NO, None),
    State.IDLE: Pattern(YES, NO, NO, NO, NO, None),
    State.PULLING: Pattern(YES, YES, _, _, _, Operation.PULL),
    State.PULLED: Pattern(YES, YES, YES, NO, NO, None),
    State.DELETION_REQUESTED: Pattern(YES, YES, YES, YES, NO, None),
    State.DELETING: Pattern(YES, YES, _, _, _, Operation.DELETE),
    State.DELETION_APPROVED: Pattern(YES, YES, NO, YES, YES, None),
    State.REQUEST_WITHDRAWN: Pattern(YES, YES, NO, NO, YES, None),
    State.LOST_LOCALLY: Pattern(YES, YES, NO, _, NO, None),
    State.LOCAL_ONLY: Pattern(_, NO, YES, NO, NO, None),
}


@cache
def classify(evidence: Evidence) -> State | Inconsistency:
    """Return the state that `evidence` shows, or the name of what is wrong with it."""
    for state, pattern in TABLE.items():
        if pattern.fits(evidence):
            return state
    return _fault(evidence)


def _fault(evidence: Evidence) -> Inconsistency:
    if not evidence.registered:
        if evidence.transfer is not None:
            return Inconsistency.TRANSFER_WITHOUT_REGISTRATION
        return Inconsistency.FLAG_WITHOUT_REGISTRATION
    if not evidence.in_source:
        return Inconsistency.REGISTRATION_WITHOUT_SOURCE
    return Inconsistency.APPROVED_BUT_LOCAL


def every_evidence() -> Iterator[Evidence]:
    """Yield every combination of evidence there is, states and inconsistencies alike."""
    flags = (False, True)
    for source, registered, local, requested, approved in product(flags, repeat=5):
        for transfer in (None, *Operation):
            yield Evidence(
                in_source=source,
                registered=registered,
                in_local=local,
                requested=requested,
                approved=approved,
                transfer=transfer,
            )


class Event(Enum):
    """What can happen to an entity, by Link or by the labs."""

    PULL_STARTS = "a pull registers it and opens a transfer"
    PULL_DONE = "a decided pull closes its transfer"
    PULL_UNDONE = "an abandoned pull is rolled back"
    DELETE_STARTS = "a delete marks it and opens a transfer"
    DELETE_DONE = "a decided delete takes the registration away"
    DELETE_UNDONE = "an abandoned delete closes its transfer"
    REQUEST = "lab S requests its deletion"
    WITHDRAW = "lab S withdraws the request"
    LOSS = "the local row is removed behind Link's back"
    RELEASE = "an approval whose request was withdrawn is released"
    SOURCE_DELETE = "lab S deletes it from the source table"
    SOURCE_INSERT = "lab S inserts it into the source table"


TRANSITIONS: dict[tuple[State, Event], frozenset[State]] = {
    (State.ABSENT, Event.SOURCE_INSERT): frozenset({State.IDLE}),
    (State.IDLE, Event.SOURCE_DELETE): frozenset({State.ABSENT}),
    (State.IDLE, Event.PULL_STARTS): frozenset({State.PULLING}),
    (State.LOST_LOCALLY, Event.PULL_STARTS): frozenset({State.PULLING}),
    (State.PULLING, Event.PULL_DONE): frozenset({State.PULLED, State.DELETION_REQUESTED}),
    (State.PULLING, Event.PULL_UNDONE): frozenset({State.IDLE, State.DELETION_APPROVED}),
    (State.PULLED, Event.DELETE_STARTS): frozenset({State.DELETING}),
    (State.DELETION_REQUESTED, Event.DELETE_STARTS): frozenset({State.DELETING}),
    (State.LOST_LOCALLY, Event.DELETE_STARTS): frozenset({State.DELETING}),
    (State.DELETING, Event.DELETE_DONE): frozenset({State.IDLE, State.DELETION_APPROVED}),
    (State.DELETING, Event.DELETE_UNDONE): frozenset({State.PULLED, State.DELETION_REQUESTED}),
    (State.PULLED, Event.REQUEST): frozenset({State.DELETION_REQUESTED}),
    (State.DELETION_REQUESTED, Event.WITHDRAW): frozenset({State.PULLED}),
    (State.DELETION_APPROVED, Event.WITHDRAW): frozenset({State.REQUEST_WITHDRAWN}),
    (State.REQUEST_WITHDRAWN, Event.REQUEST): frozenset({State.DELETION_APPROVED}),
    (State.PULLED, Event.LOSS): frozenset({State.LOST_LOCALLY}),
    (State.DELETION_REQUESTED, Event.LOSS): frozenset({State.LOST_LOCALLY}),
    (State.REQUEST_WITHDRAWN, Event.RELEASE): frozenset({State.IDLE}),
    (State.DELETION_APPROVED, Event.SOURCE_DELETE): frozenset({State.ABSENT}),
    (State.REQUEST_WITHDRAWN, Event.SOURCE_DELETE): frozenset({State.ABSENT}),
}
