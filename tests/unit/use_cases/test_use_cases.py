"""What two runs see of each other, and what is left after a failure."""

from __future__ import annotations

import pytest

from link.adapters.in_memory import Death, Run, SeededFaults, World
from link.domain.errors import InconsistentState, KeyConflict, LinkError
from link.domain.states import Inconsistency
from link.use_cases.delete import delete
from link.use_cases.pull import pull

KEYS = [(name,) for name in "abc"]


@pytest.fixture
def world():
    world = World()
    for key in KEYS:
        world.insert(key, "v", "part")
    return world


def meanwhile(world, step, act):
    """Let `act` happen just before the first time that a run takes `step`."""
    done = []

    def at_step(_owner, name):
        if name == step and not done:
            done.append(name)
            act()

    world.at_step = at_step


def test_a_row_pulled_by_another_run_between_two_looks_is_no_conflict(world):
    """The looks at source and local are not at one instant: what somebody else has just brought is not the user's own."""
    meanwhile(world, "present", lambda: pull(Run(world).ports()))
    result = pull(Run(world).ports())
    assert (result.conflicts, result.pulled, result.already_local) == ((), 0, 3)


def test_a_row_approved_by_another_run_between_two_looks_is_no_inconsistency(world):
    """A delete that meets rows which another delete has just approved has nothing to do for them."""
    pull(Run(world).ports())
    world.request(KEYS[0])
    meanwhile(world, "evidence", lambda: delete(Run(world).ports(), [KEYS[0]], lambda _: True))
    assert int(delete(Run(world).ports(), None, lambda _: True)) == 2
    assert world.approved == {KEYS[0]}


def test_a_failed_chunk_is_undone_at_once(world):
    """After a conflict in the local commit nothing stays registered or open, and the error is raised."""
    meanwhile(world, "commit pull", lambda: world.make_up(KEYS[1], "mine"))
    with pytest.raises(KeyConflict, match="'b'"):
        pull(Run(world).ports())
    assert set(world.outbound) == {KEYS[1]}
    assert not any(entry.is_open for entry in world.journal.values())


def test_earlier_chunks_stay_when_a_later_one_fails(world):
    """Each chunk is a transfer of its own: what was decided before an error is pulled."""
    commits = []

    def at_step(_owner, name):
        if name == "commit pull":
            commits.append(name)
            if len(commits) == 3:
                world.make_up(KEYS[2], "mine")

    world.at_step = at_step
    with pytest.raises(KeyConflict):
        pull(Run(world).ports(chunk=1))
    assert world.local.keys() == set(KEYS)
    assert world.local[KEYS[2]] == ("mine",)


def test_inconsistent_keys_are_named_and_the_others_go_on(world):
    """A row that is approved and yet local stops a delete of it, with its name; a pull leaves it and names it."""
    ports = Run(world).ports()
    pull(ports)
    world.request(KEYS[0])
    delete(ports, [KEYS[0]], lambda _: True)
    world.make_up(KEYS[0], "mine")
    with pytest.raises(InconsistentState, match="'a'.*still in the local table"):
        delete(ports, [KEYS[0]], lambda _: True)
    world.lose(KEYS[1])
    result = pull(ports)
    assert (result.pulled, result.inconsistent) == (1, ((KEYS[0], Inconsistency.APPROVED_BUT_LOCAL),))


@pytest.mark.parametrize("seed", range(20))
def test_calling_again_gets_there_whatever_the_seed(world, seed):
    """Pulled again and again under seeded faults, everything arrives, and no call breaks the promise."""
    world.at_step = SeededFaults(seed, rate=0.2)
    for _ in range(60):
        run = Run(world)
        try:
            pull(run.ports(chunk=1))
        except (LinkError, Death):
            assert world.violations() == []
        finally:
            run.end()
        world.deliver()
    world.at_step = SeededFaults(seed, rate=0)
    pull(Run(world).ports())
    assert world.local.keys() == world.outbound.keys() == set(KEYS)


def test_the_same_seed_is_the_same_history():
    """Faults are drawn from the seed alone."""

    def history(seed):
        faults = SeededFaults(seed, rate=0.5)
        return [faults(None, "commit pull") for _ in range(50)]

    assert history(3) == history(3) != history(4)


def test_what_the_local_server_cannot_hold_is_left_out_of_its_chunk(world):
    """Such entities are named, not local, and not registered unless they were; the others of their chunk arrive, a lost one too."""
    pull(Run(world).ports(), [KEYS[0]])
    world.lose(KEYS[0])
    world.unfit = {KEYS[1]}
    result = pull(Run(world).ports())
    assert (result.pulled, result.busy) == (2, 0)
    assert [fault.key for fault in result.not_representable] == [{"key0": "b"}]
    assert set(world.local) == set(world.outbound) == {KEYS[0], KEYS[2]}
    assert not any(entry.is_open for entry in world.journal.values())
    world.unfit = {KEYS[0]}
    world.lose(KEYS[0])
    assert [fault.key for fault in pull(Run(world).ports()).not_representable] == [{"key0": "a"}]
    assert (set(world.local), set(world.outbound)) == ({KEYS[1], KEYS[2]}, set(KEYS))


def test_what_names_objects_that_are_missing_is_left_out_of_its_chunk(world):
    """As what the local server cannot hold; both may be in one chunk."""
    world.unfit, world.without_objects = {KEYS[0]}, {KEYS[1]}
    result = pull(Run(world).ports())
    assert (result.pulled, len(result.not_representable)) == (1, 1)
    assert [fault.path for fault in result.objects_missing] == ["b"]
    assert set(world.local) == set(world.outbound) == {KEYS[2]}
    assert not any(entry.is_open for entry in world.journal.values())
