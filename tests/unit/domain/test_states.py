"""The table of states is complete, and says what really happens."""

from __future__ import annotations

import pytest

from link.adapters.in_memory import Run, World
from link.domain.planning import DELETE, PULL, Action, gives_up_registrations, plan_delete, plan_pull
from link.domain.states import TABLE, TRANSITIONS, Event, Inconsistency, State, classify, every_evidence
from link.domain.transfers import Operation, Outcome, Transfer

KEY = ("k",)


@pytest.mark.parametrize("evidence", list(every_evidence()), ids=str)
def test_every_combination_of_evidence_is_one_state_or_a_named_inconsistency(evidence):
    """No evidence fits two states, and what fits none has a name."""
    fitting = [state for state, pattern in TABLE.items() if pattern.fits(evidence)]
    assert len(fitting) <= 1
    assert classify(evidence) == fitting[0] if fitting else isinstance(classify(evidence), Inconsistency)


def test_every_state_and_every_inconsistency_occurs():
    """Each line of the tables has evidence that leads to it."""
    found = {classify(evidence) for evidence in every_evidence()}
    assert found == {*State, *Inconsistency}


def test_every_state_has_a_plan_for_pull_and_delete():
    """Neither operation meets a state it has no answer for."""
    assert PULL.keys() == DELETE.keys() == set(State)


def test_plans_place_every_key_once():
    """A plan gives each position to exactly one action or names it inconsistent."""
    batch = list(every_evidence())
    for plan in (plan_pull(batch), plan_delete(batch)):
        places = [position for positions in plan.actions.values() for position in positions]
        places += [position for position, _ in plan.inconsistent]
        assert sorted(places) == list(range(len(batch)))


def test_a_lost_row_is_taken_again_unless_its_deletion_was_requested():
    """A pull never brings back what lab S wants gone."""
    lost = [evidence for evidence in every_evidence() if classify(evidence) is State.LOST_LOCALLY]
    plan = plan_pull(lost)
    assert all(lost[position].requested for position in plan[Action.APPROVE])
    assert not any(lost[position].requested for position in plan[Action.TAKE_AGAIN])
    assert len(plan[Action.APPROVE]) == len(plan[Action.TAKE_AGAIN]) == 1


def test_registrations_are_given_up_by_undone_pulls_and_done_deletes_only():
    """The rule of finishing, for all four cases."""
    cases = {
        (operation, outcome): gives_up_registrations(operation, outcome) for operation in Operation for outcome in Outcome
    }
    assert [case for case, gives in cases.items() if gives] == [
        (Operation.PULL, Outcome.ABANDONED),
        (Operation.DELETE, Outcome.DONE),
    ]


def test_every_state_but_local_only_can_be_left():
    """Nothing is stuck: each state has a transition out; local-only rows are the user's own to delete."""
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.LOCAL_ONLY}


def _world(state, *, requested=False):
    """Bring an in-memory world into a state by the ports' own steps."""
    world = World()
    ports = Run(world).ports()
    pulling = Transfer(operation=Operation.PULL)
    deleting = Transfer(operation=Operation.DELETE)
    if state is State.ABSENT:
        return world, ports, None
    world.insert(KEY, "v")
    if state is State.IDLE:
        return world, ports, None
    chunk = ports.outbound.register(pulling, [KEY], [])
    if state is State.PULLING:
        return world, ports, pulling
    ports.local.commit_pull(pulling, chunk)
    ports.outbound.close(pulling)
    if requested or state in {State.DELETION_REQUESTED, State.DELETION_APPROVED, State.REQUEST_WITHDRAWN}:
        world.request(KEY)
    if state in {State.PULLED, State.DELETION_REQUESTED}:
        return world, ports, None
    if state is State.LOST_LOCALLY:
        world.lose(KEY)
        return world, ports, None
    ports.outbound.mark(deleting, [KEY])
    if state is State.DELETING:
        return world, ports, deleting
    ports.local.commit_delete(deleting, [KEY], ports.local.preview([KEY]))
    ports.outbound.give_up(deleting, [KEY])
    ports.outbound.close(deleting)
    if state is State.REQUEST_WITHDRAWN:
        world.withdraw(KEY)
    return world, ports, None


def _happen(event, world, ports, transfer):
    mark = Transfer(operation=Operation.DELETE)
    pulling = Transfer(operation=Operation.PULL)
    lost = [KEY] if KEY in world.outbound else []
    {
        Event.PULL_STARTS: lambda: ports.outbound.register(pulling, [] if lost else [KEY], lost),
        Event.PULL_DONE: lambda: (world.local.update({KEY: ("v",)}), ports.outbound.close(transfer)),
        Event.PULL_UNDONE: lambda: (ports.outbound.give_up(transfer, [KEY]), ports.outbound.close(transfer)),
        Event.DELETE_STARTS: lambda: ports.outbound.mark(mark, [KEY]),
        Event.DELETE_DONE: lambda: (
            world.lose(KEY),
            ports.outbound.give_up(transfer, [KEY]),
            ports.outbound.close(transfer),
        ),
        Event.DELETE_UNDONE: lambda: ports.outbound.close(transfer),
        Event.REQUEST: lambda: world.request(KEY),
        Event.WITHDRAW: lambda: world.withdraw(KEY),
        Event.LOSS: lambda: world.lose(KEY),
        Event.RELEASE: lambda: ports.outbound.release_withdrawn([KEY]),
        Event.SOURCE_DELETE: lambda: world.delete(KEY),
        Event.SOURCE_INSERT: lambda: world.insert(KEY, "v"),
    }[event]()


@pytest.mark.parametrize(("state", "event"), list(TRANSITIONS), ids=lambda item: item.name)
def test_transitions_are_what_happens(state, event):
    """Each transition of the table, carried out on the in-memory servers, ends in one of the states it names."""
    ends = set()
    for requested in (False, True):
        world, ports, transfer = _world(state, requested=requested)
        if requested and KEY in world.outbound and event in {Event.PULL_DONE, Event.PULL_UNDONE, Event.DELETE_DONE}:
            world.request(KEY)
        if requested and (event is Event.PULL_STARTS or state in {State.PULLED, State.REQUEST_WITHDRAWN}):
            continue
        if classify(world.evidence(KEY)) is state:
            _happen(event, world, ports, transfer)
            ends.add(classify(world.evidence(KEY)))
    assert ends == TRANSITIONS[state, event]
