"""What every adapter must do alike about damage: what doctor and repair stand on, over memory and over real servers."""

from __future__ import annotations

from typing import Protocol

import attrs
import pytest

import contract
from contract import A, B, C, D, yes
from link.domain.findings import Trouble
from link.domain.states import State
from link.domain.transfers import Operation, Transfer
from link.use_cases.delete import delete, release_lost
from link.use_cases.doctor import Walk, transfers
from link.use_cases.pull import pull
from link.use_cases.recovery import finish, recover
from link.use_cases.refresh import refresh

E = ("e",)


class Bench(contract.Bench, Protocol):
    """A bench that also does what no allowed step does."""

    def forget(self, *keys, keep_flags=False):
        """Take registrations away with their flags, as an older backup of the source does."""

    def remove_at_source(self, key):
        """Take a source row away from under its registration."""

    def unhold(self, key):
        """Take the guard's hold off a registration."""

    def drop_part(self, key):
        """Remove the local part rows of an entity."""

    def drop_master(self, key):
        """Remove a local master past the foreign key of its parts."""

    def copy_by_hand(self, key, differing=False):
        """Insert a local entity, equal to the source's or not."""

    def forget_decisions(self): ...

    def forget_journal(self): ...


class Damage:
    @pytest.fixture
    def ports(self, bench):
        bench.insert(A, B, C)
        return bench.ports()

    def test_the_healthy_have_no_findings(self, bench, ports):
        """Pulled, requested, approved and idle rows, and a transfer under way: nothing to find, and each is counted."""
        pull(ports, bench.chosen(A, B))
        bench.request(A, B)
        refresh(ports)
        delete(ports, bench.chosen_locally(B), yes)
        walk = Walk(ports)
        assert list(walk.troubles()) == []
        assert walk.states == {State.DELETION_REQUESTED: 1, State.DELETION_APPROVED: 1}
        other = bench.ports()
        other.outbound.register(Transfer(operation=Operation.PULL, owner=other.owner), [C], [])
        assert (list(Walk(ports).troubles()), transfers(ports)) == ([], [])
        assert (ports.inspector.decisions_unknown(), ports.inspector.transfers_undecided()) == (0, 0)

    def test_every_trouble_of_a_key_is_found(self, bench, ports):
        """Each kind of damage is named with its key, once, and with pages of any size."""
        bench.insert(D, E)
        pull(ports, bench.chosen(A, B, C, D))
        bench.forget(A)
        bench.lose(B)
        bench.remove_at_source(C)
        bench.drop_part(D)
        bench.copy_by_hand(E)
        found = dict(Walk(ports).troubles())
        expected = {
            A: Trouble.LOCAL_UNREGISTERED,
            B: Trouble.LOST_LOCALLY,
            C: Trouble.SOURCE_ROW_MISSING,
            D: Trouble.PARTS_MISSING,
            E: Trouble.LOCAL_UNREGISTERED,
        }
        assert found == expected
        assert sorted(Walk(attrs.evolve(ports, chunk=1)).troubles(), key=str) == sorted(expected.items(), key=str)

    def test_a_local_row_with_other_contents_is_no_copy(self, bench, ports):
        """A local row under a key of the source that nobody registered is compared before it passes for a copy."""
        bench.copy_by_hand(A)
        bench.copy_by_hand(B, differing=True)
        bench.copy_by_hand(D)
        found = dict(Walk(ports).troubles())
        assert found == {A: Trouble.LOCAL_UNREGISTERED, B: Trouble.LOCAL_DIFFERS, D: Trouble.LOCAL_ALONE}

    def test_requests_that_one_side_has_are_found(self, bench, ports):
        """New requests and withdrawn ones differ from what is shown until the next refresh."""
        pull(ports)
        bench.request(A)
        refresh(ports)
        bench.withdraw(A)
        bench.request(B)
        assert dict(Walk(ports).troubles()) == {A: Trouble.REQUEST_SHOWN_ONLY, B: Trouble.REQUEST_NOT_SHOWN}

    def test_a_row_that_the_guard_does_not_hold_is_found_and_held_again(self, bench, ports):
        """A registration without its hold is found; reinstating it holds it, which lab S's delete then meets."""
        pull(ports)
        bench.unhold(A)
        assert dict(Walk(ports).troubles()) == {A: Trouble.UNHELD}
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        assert ports.outbound.reinstate(transfer, [A]) == 1
        finish(ports, transfer, ports.local.abandon(transfer))
        assert list(Walk(ports).troubles()) == []
        with pytest.raises(Exception):  # noqa: B017, PT011 - each server says it in its own words
            bench.delete_at_source(A)
        assert (bench.local(), bench.registered()) == ({A, B, C}, {A, B, C})

    def test_reinstating_registers_what_is_in_the_source(self, bench, ports):
        """Local rows stay registered when it is undone, others are let go; what the source does not have is left out."""
        pull(ports, bench.chosen(A))
        bench.forget(A)
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        assert ports.outbound.reinstate(transfer, [D, A, B]) == 2
        settled = finish(ports, transfer, ports.local.abandon(transfer))
        assert (settled.released, bench.registered(), bench.local()) == (1, {A}, {A})

    def test_reinstating_takes_an_approval_back(self, bench, ports):
        """An approved row that is local all the same is held again; its request stays."""
        pull(ports)
        bench.request(A)
        delete(ports, bench.chosen_locally(A), yes)
        bench.copy_by_hand(A)
        assert dict(Walk(ports).troubles()) == {A: Trouble.APPROVED_BUT_LOCAL}
        transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
        assert ports.outbound.reinstate(transfer, [A]) == 1
        finish(ports, transfer, ports.local.abandon(transfer))
        assert (bench.registered(), bench.requested(), bench.approved()) == ({A, B, C}, {A}, set())
        with pytest.raises(Exception):  # noqa: B017, PT011 - each server says it in its own words
            bench.delete_at_source(A)

    def test_reinstating_leaves_busy_rows_alone(self, bench, ports):
        """A row in somebody else's open transfer is not taken, nor is a row that is as it should be."""
        pull(ports)
        other = bench.ports()
        other.outbound.mark(Transfer(operation=Operation.DELETE, owner=other.owner), [A])
        bench.unhold(A)
        assert ports.outbound.reinstate(Transfer(operation=Operation.PULL, owner=ports.owner), [A, B]) == 0

    def test_what_the_source_has_lost_is_let_go_with_its_flags(self, bench, ports):
        """A registration of a row that is neither in the source nor local goes, requested or approved or neither."""
        pull(ports)
        bench.request(A, B)
        delete(ports, bench.chosen_locally(B), yes)
        bench.lose(A, C)
        for key in (A, B, C):
            bench.remove_at_source(key)
        assert set(dict(Walk(ports).troubles()).values()) == {Trouble.REGISTRATION_ALONE}
        assert ports.outbound.release_withdrawn([A, B, C]) == 1
        transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
        assert ports.outbound.mark(transfer, [A, C]) == 2
        assert ports.outbound.give_up(transfer, [A, C]).released == 2
        assert (bench.registered(), bench.requested(), bench.approved()) == (set(), set(), set())

    def test_stray_flags_are_found_and_dropped(self, bench, ports):
        """Flags without a registration are found; only those without a source row are dropped."""
        pull(ports)
        bench.request(A, B)
        bench.lose(A, B)
        bench.remove_at_source(A)
        bench.forget(A, keep_flags=True)
        bench.forget(B, keep_flags=True)
        assert dict(Walk(ports).troubles()) == {A: Trouble.FLAG_STRAY, B: Trouble.FLAG_ALONE}
        assert ports.outbound.drop_stray_flags([A, B, C]) == 1
        assert bench.requested() == {B}

    def test_a_backup_shows_in_the_transfers(self, bench, ports):
        """Decisions that the journal does not know and registered rows without a decision are counted."""
        pull(ports, bench.chosen(A))
        bench.forget_decisions()
        assert (ports.inspector.decisions_unknown(), ports.inspector.transfers_undecided()) == (0, 1)
        pull(ports, bench.chosen(B))
        bench.forget(A, B)
        bench.forget_journal()
        assert (ports.inspector.decisions_unknown(), ports.inspector.transfers_undecided()) == (1, 0)

    def test_parts_without_a_master_are_told(self, bench, ports):
        """Local part rows that lost their master are found once each, beside the registration of what they belonged to."""
        pull(ports)
        bench.drop_master(A)
        found = list(Walk(attrs.evolve(ports, chunk=1)).troubles())
        assert sorted(found, key=str) == [(A, Trouble.LOST_LOCALLY), (A, Trouble.PART_ALONE)]

    def test_transfers_of_the_dead_are_told(self, bench, ports):
        """An open transfer whose run is gone is a finding until somebody has recovered it."""
        ports.outbound.register(Transfer(operation=Operation.PULL, owner=ports.owner), [A], [])
        bench.end(ports)
        other = bench.ports()
        found = transfers(other)
        assert [(finding.trouble, finding.count) for finding in found] == [(Trouble.TRANSFER_INTERRUPTED, 1)]
        recover(other)
        assert transfers(other) == []

    def test_rows_that_the_source_has_lost_can_be_deleted(self, bench, ports):
        """The user may let go of a row that lab S lost; nobody else does."""
        pull(ports)
        bench.remove_at_source(A)
        result = delete(ports, bench.chosen_locally(A), yes)
        assert (int(result), result.released, bench.registered(), bench.local()) == (1, 1, {B, C}, {B, C})

    def test_a_link_that_ends_releases_what_the_source_has_lost(self, bench, ports):
        """Registrations without a source row are no exception."""
        pull(ports)
        bench.lose(A, B)
        bench.remove_at_source(A)
        assert (release_lost(ports).released, bench.registered()) == (2, {C})
