"""Applies one mutant to a copy of the source tree and finds out what notices it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
SEEDS, STEPS = 60, 4_000
SIMULATE = f"""
import sys
import link
assert link.__file__.startswith(sys.argv[1]), link.__file__
sys.path.insert(0, "tests/unit/simulation")
from simulation import Simulation, Violation
for seed in range({SEEDS}):
    try:
        Simulation(seed, {STEPS}).run()
    except Violation as found:
        print("VIOLATION", str(found).split("\\n", 1)[0])
        break
"""
IN_MEMORY = ["tests/unit/simulation/test_model.py", "tests/unit/use_cases", "tests/unit/adapters/test_in_memory.py"]


@frozen
class Copy:
    """The source tree in a folder of its own."""

    folder: Path

    def apply(self, mutant):
        for edit in mutant.edits:
            path = self.folder / "src" / "link" / edit.path
            text = path.read_text()
            assert text.count(edit.text) == 1, f"{mutant.name}: {edit.path} has not exactly one {edit.text!r}"
            path.write_text(text.replace(edit.text, edit.replacement))

    def run(self, *command):
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LINK_FAULT_POINTS": "40",
        }
        return subprocess.run(
            [sys.executable, *command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


def noticed(mutant):
    """Return who notices the mutant and how, or None."""
    with tempfile.TemporaryDirectory(prefix="link-mutant-") as folder:
        copy = Copy(Path(folder))
        for name in ("src", "tests", "pyproject.toml", "README.md", "docs", "CONTRIBUTING.md", "CHANGELOG.md"):
            where = ROOT / name
            (shutil.copytree if where.is_dir() else shutil.copy)(where, copy.folder / name)
        copy.apply(mutant)
        return _by_tests(copy, mutant.servers) if mutant.servers else _by_simulation(copy) or _by_tests(copy, IN_MEMORY)


def _by_simulation(copy):
    done = copy.run("-c", SIMULATE, str(copy.folder))
    found = re.search(r"VIOLATION (seed .*)", done.stdout)
    if found is None and done.returncode:
        return f"simulation: {done.stderr.strip().splitlines()[-1]}"
    return f"simulation: {found[1]}" if found else None


def _by_tests(copy, tests):
    done = copy.run("-m", "pytest", "-q", "-n0", "-x", "-p", "no:cacheprovider", *tests)
    found = re.search(r"^(?:FAILED|ERROR) (?:\S*/)?(\S+?)(?: - (.*))?$", done.stdout, re.MULTILINE)
    if done.returncode == 1 and found:
        return found[1]
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-2_000:]
    return None
