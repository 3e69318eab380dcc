"""Runs that hang, lose replies or break, and the runs that meet what they left."""

from __future__ import annotations

import pytest

from link.adapters.in_memory import Fault, World
from link.domain.errors import Busy
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.delete import delete, release_lost
from link.use_cases.pull import pull
from link.use_cases.recovery import finish, recover
from link.use_cases.refresh import refresh
from moments import KEYS, A, B, breaks, once, open_entries, ports, transfers_of, yes


def test_a_run_in_the_middle_of_its_commit_is_busy_not_dead(world):
    """A look-dead owner whose local transaction is open cannot be abandoned: its rows are busy, the others come."""
    seen = []

    def stalls():
        once(world, "stalled in commit pull", meanwhile)
        return Fault.STALL

    def meanwhile():
        world.alive.clear()
        seen.append(pull(ports(world)))

    once(world, "commit pull", stalls)
    assert pull(ports(world), [A]).pulled == 1
    assert (seen[0].pulled, seen[0].busy, seen[0].recovered) == (2, 1, 0)
    assert (world.local.keys(), open_entries(world)) == (set(KEYS), [])


@pytest.mark.parametrize("fault", [Fault.DIE, Fault.FAIL])
def test_a_run_that_breaks_off_in_the_middle_of_its_commit_has_done_nothing(world, fault):
    """A local transaction that ends in the middle leaves neither a decision nor a row behind."""
    world.at_step = lambda _owner, step: {"commit pull": Fault.STALL, "stalled in commit pull": fault}.get(step)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - death is no exception
        pull(ports(world))
    assert (world.local, world.deciding, Outcome.DONE in world.decisions.values()) == ({}, set(), False)


@pytest.mark.parametrize("step", ["commit pull", "register"])
def test_a_pull_whose_reply_was_lost_knows_what_became_of_it(world, step):
    """Done after all: counted and closed; not done: undone, and the error says that the outcome was unknown."""
    once(world, step, lambda: Fault.LOSE_REPLY)
    if step == "commit pull":
        assert pull(ports(world)).pulled == 3
    else:
        with pytest.raises(Exception, match="reply"):
            pull(ports(world))
        assert world.outbound == {}
    assert open_entries(world) == []


def test_a_delete_whose_reply_was_lost_tells_what_was_settled(world):
    """The result of a delete that was done after all says what was released and approved."""
    pull(ports(world))
    world.request(A)
    once(world, "commit delete", lambda: Fault.LOSE_REPLY)
    result = delete(ports(world), [A, B], yes)
    assert (int(result), result.released, result.approved) == (2, 1, 1)


def test_an_approval_whose_reply_was_lost_is_counted(world):
    """Approving rows that were lost locally goes through a transfer as well, with the same certainty."""
    pull(ports(world))
    world.request(A)
    world.lose(A)
    once(world, "commit delete", lambda: Fault.LOSE_REPLY)
    assert (refresh(ports(world)).approved, world.approved) == (1, {A})


def test_an_error_that_nobody_thought_of_is_raised_and_its_chunk_undone(world):
    """Whatever an adapter raises, the transfer is settled at once."""
    once(world, "commit pull", breaks(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        pull(ports(world))
    assert (world.outbound, open_entries(world)) == ({}, [])


def test_where_settling_fails_too_the_first_error_is_raised(world):
    """The first error says what went wrong; the transfer stays open, and the next operation settles it."""

    def at_step(_owner, step):
        if step == "commit pull":
            raise ZeroDivisionError
        return Fault.FAIL if step == "give up" else None

    world.at_step = at_step
    with pytest.raises(ZeroDivisionError):
        pull(ports(world))
    assert len(open_entries(world)) == 1
    world.at_step = lambda _owner, _step: None
    world.alive.clear()
    assert recover(ports(world)) == 1
    assert (world.outbound, open_entries(world)) == ({}, [])


def test_finishing_stops_where_somebody_else_has_finished(world):
    """A second finisher that comes late gives nothing up: the rows may have been taken again."""
    pull(ports(world))
    mine = ports(world)
    transfer = Transfer(operation=Operation.DELETE, owner=mine.owner)
    mine.outbound.mark(transfer, [A])
    mine.local.commit_delete(transfer, [A], mine.local.preview([A]))
    once(world, "give up", lambda: finish(mine, transfer, Outcome.DONE) and pull(ports(world), [A]) and None)
    settled = finish(mine, transfer, Outcome.DONE)
    assert (settled.released, world.outbound.keys(), world.local.keys()) == (0, set(KEYS), set(KEYS))


@pytest.mark.parametrize("side", ["at the source", "locally"])
def test_a_run_that_shows_to_be_alive_on_one_server_is_left_alone(world, side):
    """A lost connection to one server does not make an owner dead."""
    mine = ports(world)
    mine.outbound.register(Transfer(operation=Operation.PULL, owner=mine.owner), [A], [])
    world.alive.clear()
    once(world, f"is alive {side}", lambda: world.alive.add(mine.owner))
    assert recover(ports(world)) == 0


def test_a_link_does_not_end_under_a_transfer(world):
    """Releasing what was lost refuses while another run is at work."""
    mine = ports(world)
    mine.outbound.register(Transfer(operation=Operation.PULL, owner=mine.owner), [A], [])
    with pytest.raises(Busy, match="'a'"):
        release_lost(ports(world))


def test_a_transfer_of_another_link_is_never_touched(world):
    """Its rows are busy, whether its owner lives or not."""
    other = ports(world, link="another")
    other.outbound.register(Transfer(operation=Operation.PULL, owner=other.owner), [A], [])
    world.alive.clear()
    result = pull(ports(world))
    assert (result.pulled, result.busy, result.recovered) == (2, 1, 0)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_paging_skips_nothing_where_rows_vanish_or_stay(chunk):
    """Released rows vanish, approved and still local ones stay: each is met once whatever the size of a page."""
    world = World()
    keys = [(f"{number}",) for number in range(9)]
    for key in keys:
        world.insert(key, "v")
    mine = ports(world, chunk=chunk)
    pull(mine)
    for key in keys[::3]:
        world.request(key)
    transfer = Transfer(operation=Operation.DELETE, owner=mine.owner)
    mine.outbound.mark(transfer, keys)
    gone = [key for place, key in enumerate(keys) if place % 3 != 1]
    mine.local.commit_delete(transfer, gone, mine.local.preview(gone))
    settled = finish(mine, transfer, Outcome.DONE)
    assert (settled.approved, settled.released) == (3, 3)
    assert world.outbound.keys() == {*keys[::3], *keys[1::3]}


def test_recovery_goes_on_past_a_transfer_that_is_busy(world):
    """One owner in the middle of its commit does not keep the transfers of others from being recovered."""
    for key in (A, B):
        mine = ports(world)
        transfer = Transfer(operation=Operation.PULL, owner=mine.owner)
        mine.outbound.register(transfer, [key], [])
        if key == A:
            world.deciding.add(transfer.id)
    world.alive.clear()
    assert recover(ports(world)) == 1
    assert world.outbound.keys() == {A}


def test_recovery_leaves_its_own_transfers_alone(world):
    """A run never abandons itself, even where the servers do not show it to be alive."""
    mine = ports(world)
    mine.outbound.register(Transfer(operation=Operation.PULL, owner=mine.owner), [A], [])
    world.alive.clear()
    assert (recover(mine), world.decisions) == (0, {})


def test_approvals_of_lost_rows_are_decided_on_the_local_server(world):
    """Every transfer that changed something has a decision, so that nobody can abandon it later."""
    pull(ports(world))
    world.request(A)
    world.lose(A)
    refresh(ports(world))
    assert [world.decisions.get(found) for found in transfers_of(world, Operation.DELETE)] == [Outcome.DONE]


@pytest.mark.parametrize("operation", [pull, refresh, lambda mine: delete(mine, None, yes)], ids=["pull", "refresh", "delete"])
def test_every_operation_recovers_first(world, operation):
    """Whatever is called next finishes or undoes what was interrupted."""
    dead = ports(world)
    dead.outbound.register(Transfer(operation=Operation.PULL, owner=dead.owner), [A], [])
    world.alive.clear()
    assert operation(ports(world)).recovered == 1
    assert open_entries(world) == []


def test_refresh_opens_no_transfer_for_rows_that_are_busy(world):
    """A requested row in somebody's pull is not local yet, and no business of refresh."""
    mine = ports(world)
    mine.outbound.register(Transfer(operation=Operation.PULL, owner=mine.owner), [A], [])
    world.request(A)
    assert refresh(ports(world)).approved == 0
    assert transfers_of(world, Operation.DELETE) == []


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_link_that_ends_releases_page_by_page(world, chunk):
    """Every page of the source is gone through, whatever its size."""
    pull(ports(world))
    for key in KEYS:
        world.lose(key)
    assert release_lost(ports(world, chunk=chunk)).released == 3
    assert world.outbound == {}


def test_a_link_that_ends_releases_withdrawn_approvals(world):
    """Nothing but what lab S still wants gone stays registered where nothing is local."""
    pull(ports(world))
    for key in (A, B):
        world.request(key)
    delete(ports(world), None, yes)
    world.withdraw(A)
    release_lost(ports(world))
    assert world.outbound.keys() == world.approved == {B}
