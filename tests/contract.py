"""What every adapter must do alike: one suite, run over memory and over every pair of servers.

A subclass gives a fixture `bench` with the methods of `Bench`; keys are tuples of text.
"""

from __future__ import annotations

from typing import Protocol

import attrs
import pytest

from link.domain import errors
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.delete import delete, release_lost
from link.use_cases.ports import Removal
from link.use_cases.pull import pull
from link.use_cases.recovery import finish, recover
from link.use_cases.refresh import refresh

A, B, C, D = ("a",), ("b",), ("c",), ("d",)


class Bench(Protocol):
    """Two labs with one linked table, whose key is one word and which has a part."""

    def insert(self, *keys): ...

    def request(self, *keys): ...

    def withdraw(self, *keys): ...

    def delete_at_source(self, key): ...

    def lose(self, *keys): ...

    def ports(self):
        """Return ports of a new run, alive until `end(ports)`."""

    def end(self, ports): ...

    def chosen(self, *keys):
        """Return a selection of the source."""

    def chosen_locally(self, *keys):
        """Return a selection of the local table."""

    def source(self): ...

    def registered(self): ...

    def local(self): ...

    def approved(self): ...

    def requested(self): ...

    def shown(self): ...


def yes(_removal):
    return True


class Contract:
    @pytest.fixture
    def ports(self, bench):
        bench.insert(A, B, C)
        return bench.ports()

    def test_pull_copies_registers_and_then_finds_nothing_new(self, bench, ports):
        """After a pull source, outbound and local have the same keys, and a second pull changes nothing."""
        assert pull(ports).pulled == 3
        assert bench.local() == bench.registered() == bench.source() == {A, B, C}
        again = pull(ports)
        assert (again.pulled, again.already_local, again.recovered) == (0, 3, 0)

    def test_pages_may_end_anywhere(self, bench, ports):
        """Pages of one key pull the same as one page of all."""
        assert pull(attrs.evolve(ports, chunk=1)).pulled == 3
        assert bench.local() == {A, B, C}

    def test_a_selection_is_respected(self, bench, ports):
        """Only what is selected at the source is registered and copied."""
        assert pull(ports, bench.chosen(B)).pulled == 1
        assert bench.registered() == {B}

    def test_presence_is_told_by_position(self, bench, ports):
        """`present` answers with positions in the batch it was asked about, in order."""
        pull(ports, bench.chosen(A, C))
        assert list(ports.local.present([C, B, A, D])) == [0, 2]

    def test_evidence_keeps_the_order_of_the_question(self, bench, ports):
        """Evidence comes back in the order of the keys, also for keys that nobody knows."""
        pull(ports, bench.chosen(B))
        seen = ports.outbound.evidence([C, D, B])
        assert [(e.in_source, e.registered) for e in seen] == [(True, False), (False, False), (True, True)]

    def test_register_leaves_out_what_is_gone_or_taken(self, bench, ports):
        """Keys that vanished from the source or that somebody else registered are not in the chunk."""
        pull(ports, bench.chosen(A))
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        chunk = ports.outbound.register(transfer, [A, B, D], [])
        assert list(chunk.keys) == [B]

    def test_rows_of_an_open_transfer_are_busy(self, bench, ports):
        """A row in an open transfer is neither registered again nor marked by another one, and a pull counts it busy."""
        first = Transfer(operation=Operation.PULL, owner=ports.owner)
        ports.outbound.register(first, [A], [])
        other = bench.ports()
        second = Transfer(operation=Operation.DELETE, owner=other.owner)
        assert other.outbound.mark(second, [A]) == 0
        assert list(other.outbound.register(Transfer(operation=Operation.PULL, owner=other.owner), [], [A]).keys) == []
        result = pull(other)
        assert (result.pulled, result.busy) == (2, 1)

    def test_the_first_decision_stands(self, bench, ports):
        """An abandoned transfer cannot be committed, and a committed one cannot be abandoned."""
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        chunk = ports.outbound.register(transfer, [A], [])
        assert ports.local.abandon(transfer) is Outcome.ABANDONED
        with pytest.raises(errors.TransferAbandoned):
            ports.local.commit_pull(transfer, chunk)
        assert bench.local() == set()
        finish(ports, transfer, Outcome.ABANDONED)
        again = Transfer(operation=Operation.PULL, owner=ports.owner)
        ports.local.commit_pull(again, ports.outbound.register(again, [A], []))
        assert ports.local.abandon(again) is Outcome.DONE
        assert ports.local.abandon(again) is Outcome.DONE

    def test_recovery_rolls_an_undecided_pull_back(self, bench, ports):
        """A pull whose owner died before its local commit leaves nothing registered."""
        ports.outbound.register(Transfer(operation=Operation.PULL, owner=ports.owner), [A], [])
        bench.end(ports)
        assert recover(bench.ports()) == 1
        assert bench.registered() == set()
        assert recover(bench.ports()) == 0

    def test_recovery_rolls_a_decided_pull_forward(self, bench, ports):
        """A pull whose owner died after its local commit stays registered, and its transfer is closed."""
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        ports.local.commit_pull(transfer, ports.outbound.register(transfer, [A], []))
        bench.end(ports)
        result = pull(bench.ports())
        assert (result.recovered, result.pulled, result.already_local) == (1, 2, 1)

    def test_recovery_finishes_a_decided_delete(self, bench, ports):
        """A delete whose owner died after its local commit is released by the next operation."""
        pull(ports)
        transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
        ports.outbound.mark(transfer, [A, B])
        bench.request(B)
        ports.local.commit_delete(transfer, [A, B], ports.local.preview([A, B]))
        bench.end(ports)
        assert recover(bench.ports()) == 1
        assert (bench.registered(), bench.approved()) == ({B, C}, {B})

    def test_recovery_undoes_an_undecided_delete(self, bench, ports):
        """A delete whose owner died before its local commit leaves its rows local and registered."""
        pull(ports)
        ports.outbound.mark(Transfer(operation=Operation.DELETE, owner=ports.owner), [A])
        bench.end(ports)
        other = bench.ports()
        assert recover(other) == 1
        assert bench.local() == bench.registered() == {A, B, C}
        assert int(delete(other, bench.chosen_locally(A), yes)) == 1

    def test_a_live_owner_is_left_alone(self, bench, ports):
        """Recovery does not touch the transfer of a run that shows to be alive."""
        ports.outbound.register(Transfer(operation=Operation.PULL, owner=ports.owner), [A], [])
        assert recover(bench.ports()) == 0
        assert bench.registered() == {A}

    def test_a_rolled_back_pull_approves_what_was_requested_meanwhile(self, bench, ports):
        """A request never disappears without withdrawal or approval."""
        ports.outbound.register(Transfer(operation=Operation.PULL, owner=ports.owner), [A, B], [])
        bench.request(A)
        bench.end(ports)
        recover(bench.ports())
        assert (bench.registered(), bench.approved(), bench.requested()) == ({A}, {A}, {A})

    def test_finishing_leaves_registered_what_is_still_local(self, bench, ports):
        """No registration is given up under a local row, even by a delete that matched nothing."""
        pull(ports)
        transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
        ports.outbound.mark(transfer, [A, B])
        ports.local.commit_delete(transfer, [A], ports.local.preview([A]))
        settled = finish(ports, transfer, Outcome.DONE)
        assert (settled.released, bench.registered()) == (1, {B, C})

    def test_giving_up_again_changes_nothing(self, bench, ports):
        """Owner and recoverer may both finish; once the transfer is closed nothing is given up under it."""
        pull(ports)
        transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
        ports.outbound.mark(transfer, [A, B])
        assert ports.outbound.give_up(transfer, [A]).released == 1
        assert ports.outbound.give_up(transfer, [A]).released == 0
        assert ports.outbound.close(transfer) is True
        assert ports.outbound.close(transfer) is False
        assert ports.outbound.give_up(transfer, [B]) is None
        assert bench.registered() == {B, C}

    def test_delete_releases_and_approves(self, bench, ports):
        """A requested row is approved, any other one released."""
        pull(ports)
        bench.request(A)
        result = delete(ports, bench.chosen_locally(A, B), yes)
        assert (int(result), result.approved, result.released) == (2, 1, 1)
        assert (bench.local(), bench.registered(), bench.approved()) == ({C}, {A, C}, {A})
        bench.delete_at_source(A)
        assert bench.source() == {B, C}

    def test_delete_that_is_not_confirmed_changes_nothing(self, bench, ports):
        """A "no" leaves both servers as they are, journal included."""
        pull(ports)
        assert int(delete(ports, None, lambda _: False)) == 0
        assert bench.local() == bench.registered() == {A, B, C}
        assert list(ports.outbound.open_transfers()) == []

    def test_delete_refuses_busy_rows_before_writing(self, bench, ports):
        """All or nothing: one busy row keeps every row where it is, and the error names the key."""
        pull(ports)
        other = bench.ports()
        other.outbound.mark(Transfer(operation=Operation.DELETE, owner=other.owner), [B])
        with pytest.raises(errors.Busy, match="'b'"):
            delete(ports, None, yes)
        assert bench.local() == {A, B, C}

    def test_delete_stops_where_more_would_go_than_was_shown(self, bench, ports):
        """A removal that grew after its confirmation is rolled back on both servers."""
        pull(ports)
        transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
        ports.outbound.mark(transfer, [A])
        with pytest.raises(errors.RemovalChanged):
            ports.local.commit_delete(transfer, [A], Removal(counts={}))
        assert bench.local() == {A, B, C}
        assert ports.local.abandon(transfer) is Outcome.ABANDONED

    def test_a_refresh_during_the_prompt_stops_no_delete(self, bench, ports):
        """What it shows of lab S's requests is Link's own, and goes with the rows without having been confirmed."""
        pull(ports)

        def confirm(_removal):
            bench.request(A)
            refresh(bench.ports())
            return True

        result = delete(ports, None, confirm)
        assert (int(result), result.approved, result.released) == (3, 1, 2)
        assert (bench.local(), bench.registered(), bench.shown()) == (set(), {A}, set())

    def test_refresh_shows_new_requests_and_drops_withdrawn_ones(self, bench, ports):
        """The local side shows what is requested as of the last refresh."""
        pull(ports)
        bench.request(A, B)
        assert (refresh(ports).new, bench.shown()) == (2, {A, B})
        bench.withdraw(A)
        result = refresh(ports)
        assert (result.withdrawn, result.requested, bench.shown()) == (1, 1, {B})

    def test_a_withdrawn_request_means_release(self, bench, ports):
        """A request withdrawn between refresh and delete is not approved."""
        pull(ports)
        bench.request(A)
        refresh(ports)
        bench.withdraw(A)
        result = delete(ports, bench.chosen_locally(A), yes)
        assert (result.approved, result.released, bench.registered()) == (0, 1, {B, C})

    def test_an_approval_whose_request_was_withdrawn_is_released(self, bench, ports):
        """The next pull releases it and takes the row again; a refresh releases it too."""
        pull(ports)
        bench.request(A, B)
        delete(ports, bench.chosen_locally(A, B), yes)
        bench.withdraw(A, B)
        result = pull(ports, bench.chosen(A))
        assert (result.pulled, result.released, bench.approved()) == (1, 1, {B})
        assert (refresh(ports).released, bench.registered()) == (1, {A, C})

    def test_lost_rows_are_pulled_again_or_approved(self, bench, ports):
        """A row removed behind Link's back comes back, or is approved where lab S wants it gone."""
        pull(ports)
        bench.request(B)
        bench.lose(A, B)
        result = pull(ports)
        assert (result.pulled, result.approved) == (1, 1)
        assert (bench.local(), bench.approved()) == ({A, C}, {B})

    def test_a_lost_row_that_came_back_is_not_copied_over(self, bench, ports):
        """Taken again by two runs, a lost row arrives with the first; the second one's commit is refused and undone."""
        pull(ports)
        bench.lose(A, B)
        other = bench.ports()
        assert pull(other, bench.chosen(A)).pulled == 1
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        chunk = ports.outbound.register(transfer, [], [A, B])
        with pytest.raises(errors.KeyConflict):
            ports.local.commit_pull(transfer, chunk)
        finish(ports, transfer, ports.local.abandon(transfer))
        assert (bench.local(), bench.registered()) == ({A, C}, {A, B, C})

    def test_a_pull_that_is_undone_keeps_what_it_has_not_registered(self, bench, ports):
        """Rows that were lost locally stay registered, so that lab S cannot delete them before the next pull brings them."""
        pull(ports, bench.chosen(A, B))
        bench.lose(A)
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        assert {*ports.outbound.register(transfer, [C], [A]).keys} == {A, C}
        assert finish(ports, transfer, ports.local.abandon(transfer)).released == 1
        assert (bench.local(), bench.registered()) == ({B}, {A, B})
        assert pull(ports).pulled == 2
        assert bench.local() == {A, B, C}

    def test_a_transfer_that_came_to_nothing_is_closed(self, bench, ports):
        """A chunk whose keys are all gone by the time they are registered has no decision, and nothing stays open."""
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        assert list(ports.outbound.register(transfer, [D], []).keys) == []
        assert ports.outbound.close(transfer) is True
        assert list(ports.outbound.open_transfers()) == []

    def test_refresh_approves_lost_rows(self, bench, ports):
        """A request for a row that is not local any more is answered by the next refresh."""
        pull(ports)
        bench.request(B)
        bench.lose(B)
        assert (refresh(ports).approved, bench.approved()) == (1, {B})

    def test_a_link_that_ends_releases_what_was_lost(self, bench, ports):
        """Registrations of rows that are not local are given up, requested ones approved; local rows stay registered."""
        pull(ports)
        bench.request(B)
        bench.lose(A, B)
        settled = release_lost(ports)
        assert (settled.released, settled.approved) == (1, 1)
        assert (bench.registered(), bench.approved()) == ({B, C}, {B})

    def test_requested_rows_that_are_not_local_are_held_back(self, bench, ports):
        """An approved row is not pulled again."""
        pull(ports)
        bench.request(A)
        delete(ports, bench.chosen_locally(A), yes)
        result = pull(ports)
        assert (result.pulled, result.held_back) == (0, 1)

    def test_a_registered_row_cannot_be_deleted_at_the_source(self, bench, ports):
        """The guard stops lab S's delete until the deletion is approved, and never touches unregistered rows."""
        pull(ports, bench.chosen(A))
        with pytest.raises(Exception):  # noqa: B017, PT011 - each server says it in its own words
            bench.delete_at_source(A)
        assert bench.source() == {A, B, C}
        bench.delete_at_source(B)
        assert bench.source() == {A, C}
