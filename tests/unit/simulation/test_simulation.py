"""The promise holds in every interleaving that the seeds make."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from simulation import Simulation

SEEDS = 250  # a million steps
STEPS = 4_000


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_breaks_the_promise(seed):
    """Pullers, deleters, a refresher and both labs at once, with faults: local ⊆ outbound ⊆ source after every step."""
    assert Simulation(seed, STEPS).run() == STEPS


def test_a_seed_is_one_history():
    """A failing seed can be replayed: the same seed makes the same steps and the same faults, whatever threads do."""
    one, other = Simulation(5, 400), Simulation(5, 400)
    one.run()
    other.run()
    assert one.history == other.history
