"""Replay or search: `uv run python tests/unit/simulation [SEED [STEPS]]`."""

from __future__ import annotations

import sys

from simulation import Simulation

seeds = [int(sys.argv[1])] if len(sys.argv) > 1 else range(1_000_000)
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
for seed in seeds:
    Simulation(seed, steps).run()
    print(f"seed {seed}: {steps} steps, no violation", flush=True)
