"""What happens to rows between a look and a step."""

from __future__ import annotations

import pytest

from link.domain.errors import Busy, KeyConflict
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from moments import KEYS, A, B, once, open_entries, ports, transfers_of, yes


def test_two_pulls_that_meet_the_same_lost_rows_both_end_well(world):
    """What another run has brought back meanwhile is local already, and the rest of the chunk still comes."""
    pull(ports(world))
    world.lose(A)
    world.lose(B)
    once(world, "register", lambda: pull(ports(world), [A]) and None)
    result = pull(ports(world))
    assert (result.pulled, result.already_local, result.busy) == (1, 2, 0)
    assert world.local.keys() == world.outbound.keys() == set(KEYS)


def test_a_delete_marks_a_row_that_came_back_between_its_two_looks(world):
    """A row that was released and pulled again between the looks seems local only; it is released, not left behind."""
    pull(ports(world), [A])

    def comes_back():
        pull(ports(world), [A])

    def goes():
        delete(ports(world), [A], yes)
        once(world, "present", comes_back)

    once(world, "evidence", goes)
    assert int(delete(ports(world), [A], yes)) == 1
    assert world.outbound == {}


def test_rows_that_vanish_before_they_are_registered_leave_nothing(world):
    """A chunk with nothing in it is abandoned: a closed transfer without a decision would make the local server pass for a backup."""
    once(world, "register", lambda: [world.delete(key) for key in KEYS] and None)
    result = pull(ports(world))
    assert (result.pulled, result.busy) == (0, 3)
    assert ({*world.decisions.values()}, world.outbound, open_entries(world)) == ({Outcome.ABANDONED}, {}, [])


def test_a_request_withdrawn_while_the_person_thinks_means_release(world):
    """A delete looks again after it was confirmed."""
    pull(ports(world))
    world.request(A)
    result = delete(ports(world), [A], lambda _: world.withdraw(A) is None)
    assert (result.approved, result.released) == (0, 1)


def test_a_row_that_got_busy_while_the_person_thinks_stops_the_delete(world):
    """All or nothing: nothing is marked or deleted, and the error names the row."""
    pull(ports(world))
    other = ports(world)

    def confirm(_removal):
        other.outbound.mark(Transfer(operation=Operation.DELETE, owner=other.owner), [B])
        return True

    with pytest.raises(Busy, match="'b'"):
        delete(ports(world), None, confirm)
    assert len(transfers_of(world, Operation.DELETE)) == 1
    assert world.local.keys() == set(KEYS)


def test_a_row_taken_between_the_last_look_and_the_mark_undoes_the_delete(world):
    """Fewer marks than rows: the marks are taken back, nothing is deleted, and the other run's mark stays."""
    pull(ports(world))
    other = ports(world)
    theirs = Transfer(operation=Operation.DELETE, owner=other.owner)
    once(world, "mark", lambda: other.outbound.mark(theirs, [B]) and None)
    with pytest.raises(Busy):
        delete(ports(world, chunk=1), None, yes)
    assert world.local.keys() == world.outbound.keys() == set(KEYS)
    assert [entry.transfer for entry in open_entries(world)] == [theirs]


def test_a_row_made_up_before_the_commit_stops_the_chunk(world):
    """What appears by hand after the look is not overwritten, and what was registered for the chunk is released."""
    once(world, "commit pull", lambda: world.make_up(A, "mine"))
    with pytest.raises(KeyConflict, match="'a'"):
        pull(ports(world), [A, B])
    assert world.local == {A: ("mine",)}
    assert (set(world.outbound), open_entries(world)) == ({A}, [])
