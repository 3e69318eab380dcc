"""Rows of the user's own, and rows whose evidence does not fit together."""

from __future__ import annotations

import pytest

from link.adapters.in_memory.world import Registration
from link.domain.errors import InconsistentState, RemovalChanged
from link.domain.transfers import Operation
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from link.use_cases.refresh import refresh
from moments import KEYS, A, B, C, breaks, open_entries, ports, transfers_of, yes


def test_local_only_rows_are_conflicts_and_the_others_come(world):
    """A pull names the key and the columns that differ, overwrites nothing, registers nothing for it."""
    world.make_up(A, "mine")
    world.make_up(B, "v", "part")
    result = pull(ports(world))
    assert [(found.key, found.columns) for found in result.conflicts] == [({"key0": "a"}, ["value"]), ({"key0": "b"}, [])]
    assert (result.pulled, set(world.outbound), world.local[A]) == (1, {C}, ("mine",))


def test_local_only_rows_are_deleted_plainly(world):
    """A delete of rows that nobody registered writes nothing at the source."""
    world.make_up(A, "mine")
    assert int(delete(ports(world), None, yes)) == 1
    assert (world.local, world.journal, world.decisions) == ({}, {}, {})


def test_local_only_rows_go_with_registered_ones_in_one_delete(world):
    """One delete, one local transaction, whatever kind of rows it meets; only registered ones are settled at the source."""
    pull(ports(world), [A])
    world.make_up(B, "mine")
    result = delete(ports(world), None, yes)
    assert (int(result), result.released, world.local, world.outbound) == (2, 1, {}, {})


def test_keys_that_are_equal_locally_are_conflicts(world):
    """Two source keys that the local server cannot tell apart are found before anything is registered for them."""
    world.same = lambda key: (key[0].lower(),)
    world.insert(("A",), "v")
    result = pull(ports(world))
    assert [found.key for found in result.conflicts] == [{"key0": "A"}, {"key0": "a"}]
    assert world.local.keys() == world.outbound.keys() == {B, C}


def test_a_key_that_is_equal_to_a_local_one_is_a_conflict(world):
    """A later source key that the local server takes for one it has is reported, not registered."""
    world.same = lambda key: (key[0].lower(),)
    pull(ports(world))
    world.insert(("A",), "v")
    result = pull(ports(world))
    assert ([found.key for found in result.conflicts], result.pulled) == ([{"key0": "A"}], 0)
    assert world.outbound.keys() == set(KEYS)


def test_dependents_that_appear_after_the_confirmation_stop_the_delete(world):
    """No more goes than was shown: local side rolled back, marks taken back."""
    pull(ports(world))
    world.depend("analysis", A)

    def confirm(removal):
        assert removal.counts == {"entity": 1, "analysis": 1}
        world.depend("analysis", A)
        return True

    with pytest.raises(RemovalChanged, match=r"analysis \(1 confirmed, 2 found\)"):
        delete(ports(world), [A], confirm)
    assert (world.local.keys(), world.dependents, open_entries(world)) == (set(KEYS), {"analysis": [A, A]}, [])


def inconsistent(world, key):
    """Bring a row into a state that nobody can explain: approved, and local."""
    world.local[key], world.outbound[key] = ("v",), Registration(world.outbound[key].transfer)
    world.approved.add(key)


def test_a_delete_raises_before_writing_where_something_does_not_fit(world):
    """A delete is all or nothing: the error names the key, no transfer is opened, nobody is asked."""
    pull(ports(world))
    inconsistent(world, A)
    with pytest.raises(InconsistentState, match=r"key0='a'.*approved, but still"):
        delete(ports(world), None, breaks(AssertionError("asked")))
    assert transfers_of(world, Operation.DELETE) == []


def test_an_approval_is_never_released_under_a_local_row(world):
    """A withdrawn approval of a row that is local all the same stays registered."""
    pull(ports(world), [A])
    inconsistent(world, A)
    assert refresh(ports(world)).released == 0
    assert world.outbound.keys() == {A}


@pytest.mark.parametrize("chunk", [1, 2, 3, 10])
def test_requests_are_counted_once_whatever_the_size_of_a_page(world, chunk):
    """Requests stay where they are while they are read page by page, and so do the shown ones."""
    pull(ports(world))
    for key in KEYS:
        world.request(key)
    first = refresh(ports(world, chunk=chunk))
    assert (first.requested, first.new, world.shown) == (3, 3, set(KEYS))
    for key in KEYS[:2]:
        world.withdraw(key)
    then = refresh(ports(world, chunk=chunk))
    assert (then.requested, then.withdrawn, world.shown) == (1, 2, {C})
