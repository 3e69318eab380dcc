"""The end of a link, and its moving, while others are at work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from backups import clone
from damaged import each, one, sides, ten_pulled

from link import errors
from link.adapters.datajoint import claiming
from link.domain.transfers import Operation, Transfer
from link.use_cases.recovery import finish


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    return ten_pulled(lab_s, lab_l, connect, link)


@each
def test_a_pull_that_comes_between_release_and_the_end_stops_the_drop(labs, link, mocker):
    """Nothing of what came is lost: the drop is refused with the tables in place, and goes when called again."""
    lab_s, lab_l, session = labs
    freed, other = claiming.freed, link(lab_s, lab_l)

    def late(*args):
        assert other.pull({"subject": "m1"}).pulled == 10
        return freed(*args)

    mocker.patch.object(claiming, "freed", late)
    with pytest.raises(errors.Busy):
        session.drop(prompt=False)
    local, registered, source = sides(lab_s, lab_l)
    assert local == registered == {("m1", number) for number in range(10)}
    mocker.stopall()
    session.drop(prompt=False)
    assert not lab_s.has_outbound()


@each
def test_who_has_read_before_the_end_registers_nothing_after_it(labs, link):
    """A run that was under way when the link ended is refused at its next transfer, which leaves no trace."""
    lab_s, lab_l, session = labs
    with link(lab_s, lab_l)._operations._ports() as run:
        key = run.ports.source.page(None, None, 1).keys[0]
        session.drop(prompt=False)
        for open_transfer in (
            run.ports.outbound.reinstate,
            run.ports.outbound.mark,
            lambda t, keys: run.ports.outbound.register(t, keys, ()),
        ):
            transfer = Transfer(operation=Operation.PULL, owner=run.ports.owner)
            with pytest.raises(errors.LinkEnded, match="session_outbound"):
                open_transfer(transfer, [key])
        assert list(run.ports.outbound.open_transfers()) == []
    assert not lab_s.has_outbound()


@each
def test_the_end_waits_for_a_registration_under_way(labs, link, mocker):
    """A transfer that is being opened ends first; then its rows are seen, and the link does not end."""
    lab_s, lab_l, session = labs
    (session & "TRUE").delete(prompt=False)
    waited = []
    with link(lab_s, lab_l)._operations._ports() as run, ThreadPoolExecutor() as pool:
        hold = type(run.ports.outbound.guard).hold

        def hold_late(*args):
            waited.append(pool.submit(lambda: session.drop(prompt=False)))
            time.sleep(0.7)
            assert not waited[0].done(), waited[0].exception()
            return hold(*args)

        mocker.patch.object(type(run.ports.outbound.guard), "hold", hold_late)
        transfer = Transfer(operation=Operation.PULL, owner=run.ports.owner)
        run.ports.outbound.register(transfer, [("m0", "1")], ())
        with pytest.raises(errors.Busy):
            waited[0].result(20)
        finish(run.ports, transfer, run.ports.local.abandon(transfer))
    session.drop(prompt=False)
    assert not lab_s.has_outbound()


@one
def test_who_was_under_way_when_a_clone_took_over_registers_nothing(labs, link):
    """adopt() ends what the original has begun too: its next transfer is refused."""
    lab_s, lab_l, session = labs
    with session._operations._ports() as run:
        name = clone(lab_l.server, lab_l.local_schema, lab_l.user)
        lab_l.local_schema = name
        link(lab_s, lab_l)().adopt()
        with pytest.raises(errors.LinkEnded):
            run.ports.outbound.mark(Transfer(operation=Operation.DELETE, owner=run.ports.owner), [("m0", "1")])
