"""Every fault at every step of every operation, one at a time: the promise holds, and the next call completes the work."""

from __future__ import annotations

from itertools import count

import pytest

from link.adapters.in_memory import Death, Fault, Run, World
from link.domain.errors import LinkError
from link.domain.states import State, classify
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from link.use_cases.refresh import refresh

KEYS = [(name,) for name in "abcde"]
OPERATIONS = {
    "pull": lambda ports: pull(ports),
    "delete": lambda ports: delete(ports, KEYS[:3], lambda _: True),
    "refresh": lambda ports: refresh(ports),
}


def prepared(operation):
    """Return a world in which the operation has everything to do: new, requested, lost, withdrawn and approved rows."""
    world = World()
    for key in KEYS:
        world.insert(key, "v", "part")
    ports = Run(world).ports()
    pull(ports, KEYS if operation != "pull" else KEYS[2:])
    world.unfit = {KEYS[1]}
    for key in (KEYS[2], KEYS[4]):
        world.request(key)
    delete(ports, [KEYS[4]], lambda _: True)
    world.withdraw(KEYS[4])
    if operation != "delete":
        world.request(KEYS[3])
        world.lose(KEYS[3])
    world.alive.clear()
    return world


def run(world, operation):
    run_ = Run(world)
    try:
        OPERATIONS[operation](run_.ports(chunk=2, memory=1))
    finally:
        run_.end()


def faulted(world, operation, at, fault):
    """Run the operation with `fault` at its step number `at`; return whether it got that far."""
    steps = count(1)
    reached = []

    def at_step(_owner, name):
        if next(steps) != at:
            return None
        reached.append(name)
        delayed = fault in {Fault.DELAY, Fault.DELAY_AND_DIE}
        return fault if not delayed or name.startswith("commit") else None

    world.at_step = at_step
    try:
        run(world, operation)
    except (LinkError, Death):
        pass
    finally:
        world.at_step = lambda _owner, _name: None
    return bool(reached)


@pytest.mark.parametrize("late", [False, True], ids=["", "late COMMITs arrive"])
@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name)
@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_one_fault_anywhere(operation, fault, late):
    """Whatever happens at whichever step, local ⊆ outbound ⊆ source, and calling again ends where no fault would have."""
    expected = prepared(operation)
    run(expected, operation)
    for at in count(1):
        world = prepared(operation)
        reached = faulted(world, operation, at, fault)
        assert world.violations() == []
        if late:
            world.deliver()
            assert world.violations() == []
        run(world, operation)
        assert world.violations() == []
        assert {key: classify(world.evidence(key)) for key in KEYS} == {key: classify(expected.evidence(key)) for key in KEYS}
        assert not any(entry.is_open for entry in world.journal.values())
        if not reached:
            break
    assert at > 5


def test_the_prepared_worlds_have_every_kind_of_work():
    """The worlds that the faults meet have idle, unfit, lost, requested and withdrawn rows."""
    states = {classify(prepared("pull").evidence(key)) for key in KEYS}
    assert states == {State.IDLE, State.DELETION_REQUESTED, State.LOST_LOCALLY, State.REQUEST_WITHDRAWN}
