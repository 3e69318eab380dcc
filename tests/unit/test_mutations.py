"""The list of mutations fits the source, and those that take a moment are noticed; `uv run python tests/mutations` runs all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mutations"))
from hunt import noticed
from mutants import MUTANTS

ROOT = Path(__file__).parents[2]

QUICK = {"no decision", "read, not fence", "the lock alone", "close before commit", "two snapshots", "prune", "guard off"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutation_changes_what_is_there(mutant):
    """Each text that a mutation replaces occurs exactly once in its file, so that none turns into a mutation of nothing."""
    for edit in mutant.edits:
        assert (ROOT / "src" / "link" / edit.path).read_text().count(edit.text) == 1, edit
        assert edit.replacement not in {edit.text, f"{edit.text} "}


def test_the_list_has_what_was_promised():
    """There are at least twenty, each with a name of its own."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) > 40


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.name in QUICK], ids=lambda mutant: mutant.name)
def test_the_simulation_notices(mutant):
    """The simulation sees a protocol that is broken in one of the known ways."""
    assert "simulation: seed" in noticed(mutant)
