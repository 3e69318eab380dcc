"""Replay or search: `uv run python tests/unit/simulation [SEED [STEPS]]`; without a seed, all seeds until a million steps."""

from __future__ import annotations

import sys
import time

from simulation import Simulation

MILLION = 1_000_000
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000
seeds = [int(sys.argv[1])] if len(sys.argv) > 1 else range(MILLION // steps)
start = time.monotonic()
for seed in seeds:
    Simulation(seed, steps).run()
print(f"{len(seeds) * steps:,} steps, no violation, {time.monotonic() - start:.1f} s")
