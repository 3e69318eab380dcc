"""Repairs beside everything else: nothing breaks what is whole, and what was broken is right in the end or named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from repairing import Repairing
from simulation import Violation

from link.domain.findings import REMEDIES, Cure, Remedy, Trouble, Weight
from link.domain.transfers import Operation, Transfer
from link.use_cases import repair

SEEDS = 12
STEPS = 4_000


@pytest.mark.parametrize("seed", range(SEEDS))
def test_repairs_break_nothing_and_leave_nothing_unnamed(seed):
    """Backups restored on either side, rows, registrations, holds and flags lost, with repairers, pullers and deleters at once."""
    assert Repairing(seed, STEPS).run() == STEPS


def release_without_a_look(ports, keys):
    """Settle lost rows by what was seen before the transfer."""
    transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
    ports.outbound.mark(transfer, keys)
    ports.local.commit_delete(transfer, (), None)
    settled = ports.outbound.give_up(transfer, keys)
    ports.outbound.close(transfer)
    return settled or repair.Settled()


def remove_the_local_row_too(self, keys):
    """Make local and source equal by the short way."""
    self.ports.local.commit_delete(None, keys, self.ports.local.preview(keys))
    self._settle(keys)


def mutate(monkeypatch, mutation):
    if mutation is release_without_a_look:
        monkeypatch.setattr(repair, "approve_lost", mutation)
    else:
        monkeypatch.setattr(repair._Work, "_clear", mutation)
        monkeypatch.setitem(REMEDIES, Trouble.SOURCE_ROW_MISSING, Remedy(Weight.BROKEN, Cure.CLEAR))


def search():
    for seed in range(200):
        Repairing(seed, STEPS).run()


@pytest.mark.parametrize(
    ("mutation", "problem"),
    [(release_without_a_look, "under a local row|still in the local table"), (remove_the_local_row_too, "took rows away")],
    ids=["release without a look", "remove the local row too"],
)
def test_a_wrong_repair_is_noticed(monkeypatch, mutation, problem):
    """A repair that releases by what it saw before, and one that removes rows, break the promise in some seed's history."""
    mutate(monkeypatch, mutation)
    with pytest.raises(Violation, match=problem):
        search()
