"""What an operation does with the entities it meets, decided from their evidence alone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import field, frozen

from link.domain.states import Evidence, Inconsistency, State, classify
from link.domain.transfers import Operation, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


class Action(Enum):
    """What is to be done with one entity."""

    TAKE = "register it and copy it"
    TAKE_AGAIN = "put it under a new transfer and copy it again"
    RELEASE_AND_TAKE = "release its withdrawn approval, then register and copy it"
    APPROVE = "approve its deletion: it is not local any more"
    REMOVE = "remove it from the local table under a transfer"
    REMOVE_PLAINLY = "remove it from the local table: nothing is registered for it"
    KEEP = "leave it: it is local already"
    HOLD_BACK = "leave it: its deletion was requested"
    CONFLICT = "report it: the local table has a row of its own under this key"
    WAIT = "leave it: another transfer is at work on it"
    NOTHING = "leave it: there is nothing to do"


PULL: dict[State, Action] = {
    State.ABSENT: Action.NOTHING,
    State.IDLE: Action.TAKE,
    State.PULLING: Action.WAIT,
    State.PULLED: Action.KEEP,
    State.DELETION_REQUESTED: Action.KEEP,
    State.DELETING: Action.WAIT,
    State.DELETION_APPROVED: Action.HOLD_BACK,
    State.REQUEST_WITHDRAWN: Action.RELEASE_AND_TAKE,
    State.LOST_LOCALLY: Action.TAKE_AGAIN,
    State.LOCAL_ONLY: Action.CONFLICT,
}
DELETE: dict[State, Action] = {
    State.ABSENT: Action.NOTHING,
    State.IDLE: Action.NOTHING,
    State.PULLING: Action.WAIT,
    State.PULLED: Action.REMOVE,
    State.DELETION_REQUESTED: Action.REMOVE,
    State.DELETING: Action.WAIT,
    State.DELETION_APPROVED: Action.NOTHING,
    State.REQUEST_WITHDRAWN: Action.NOTHING,
    State.LOST_LOCALLY: Action.NOTHING,
    State.LOCAL_ONLY: Action.REMOVE_PLAINLY,
}


@frozen
class Plan:
    """Positions in a batch of keys, by what is to be done with them."""

    actions: dict[Action, list[int]] = field(factory=lambda: {action: [] for action in Action})
    inconsistent: list[tuple[int, Inconsistency]] = field(factory=list)

    def __getitem__(self, action: Action) -> list[int]:
        return self.actions[action]


def plan_pull(batch: Sequence[Evidence]) -> Plan:
    """Decide what a pull does with each entity of `batch`."""
    plan = _plan(batch, PULL)
    lost = plan[Action.TAKE_AGAIN]
    plan[Action.APPROVE].extend(position for position in lost if batch[position].requested)
    lost[:] = [position for position in lost if not batch[position].requested]
    return plan


def plan_delete(batch: Sequence[Evidence]) -> Plan:
    """Decide what a delete does with each entity of `batch`.

    A row that lab S has lost (a restored backup) can be let go like any other: the user sees it and says so.
    """
    plan = _plan(batch, DELETE)
    gone = [position for position, fault in plan.inconsistent if _is_lost_at_source(batch[position], fault)]
    plan[Action.REMOVE].extend(gone)
    plan[Action.REMOVE].sort()
    plan.inconsistent[:] = [(position, fault) for position, fault in plan.inconsistent if position not in set(gone)]
    return plan


def _is_lost_at_source(evidence: Evidence, fault: Inconsistency) -> bool:
    lost = fault is Inconsistency.REGISTRATION_WITHOUT_SOURCE and evidence.in_local
    return lost and evidence.transfer is None and not evidence.approved


def _plan(batch: Sequence[Evidence], table: dict[State, Action]) -> Plan:
    plan = Plan()
    for position, evidence in enumerate(batch):
        state = classify(evidence)
        if isinstance(state, Inconsistency):
            plan.inconsistent.append((position, state))
        else:
            plan[table[state]].append(position)
    return plan


def gives_up_registrations(operation: Operation, outcome: Outcome) -> bool:
    """Whether finishing a transfer takes away the registrations of its entities, those aside that are still local.

    A decided pull keeps them, and so does an abandoned delete.
    """
    return (operation is Operation.PULL) == (outcome is Outcome.ABANDONED)
