"""The promise holds in every interleaving that the seeds make."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from simulation import Simulation

SEEDS = 30
STEPS = 1_500


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_breaks_the_promise(seed):
    """Pullers, deleters, a refresher and both labs at once, with faults: local ⊆ outbound ⊆ source after every step."""
    assert Simulation(seed, STEPS).run() == STEPS
