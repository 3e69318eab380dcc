"""Some points of every kind of fault, on one pair of servers; `uv run python tests/integration/faults` goes through all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from servers import Product

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import lab_s
from kinds import KINDS, STAGES
from points import explore
from states import OPERATIONS
from storm import storm

PAIR = (Product.POSTGRESQL, Product.MARIADB)
POINTS = int(os.environ.get("LINK_FAULT_POINTS", "1"))
"""How many points of each kind and operation, about."""
COMBINED = [
    (kind, operation)
    for row, kind in enumerate(KINDS)
    for column, operation in enumerate(kind.operations)
    if "LINK_FAULT_POINTS" in os.environ or (row + column) % 2 == 0
]
"""Every kind with every operation where points are asked for, else every other pair of the two."""


@pytest.fixture(scope="module")
def stages():
    """Return the stages, one with its servers behind proxies, each made when first needed."""
    made = {}

    def stage_of(name):
        if name not in made:
            made[name] = STAGES[name](PAIR)
        return made[name]

    yield stage_of
    for stage in made.values():
        stage.close()


@pytest.fixture(scope="module")
def stage(stages):
    return stages("plain")


@pytest.fixture(scope="module")
def lengths(stage):
    """How many statements each operation has."""
    return {operation: len(stage.statements(operation)) for operation in OPERATIONS}


on_the_pair = pytest.mark.parametrize("pair", [PAIR], ids=["postgresql-to-mariadb"])


@on_the_pair
@pytest.mark.parametrize(
    ("kind", "operation"),
    COMBINED,
    ids=[f"{kind.run.__module__}.{kind.run.__name__}-{operation}" for kind, operation in COMBINED],
)
def test_nothing_that_happens_breaks_the_promise(stages, lengths, kind, operation, pair):
    """The promise holds before and after every statement, and the next call completes the work."""
    step = max(1, lengths[operation] // POINTS)
    tally = explore(stages(kind.on), kind, operation, step=step, first=1 + KINDS.index(kind) % step)
    assert tally.violations == []
    assert tally.points >= max(1, min(POINTS, lengths[operation]) // 2)


@on_the_pair
def test_masters_and_parts_are_one_snapshot(stage, pair):
    """Lab S changes masters and parts just before parts are read: what arrives is of one version."""
    parts, kind = stage.lab_s.table("item__piece"), next(kind for kind in KINDS if kind.run is lab_s.updates)
    reads = [at for at, statement in enumerate(stage.statements("pull"), 1) if parts in statement]
    tallies = [explore(stage, kind, "pull", step=1_000, first=at) for at in reads]
    assert [tally.violations for tally in tallies] == [[]] * len(reads)
    assert len(reads) > 2


@on_the_pair
def test_everybody_at_once(stage, pair):
    """Pullers, deleters, a refresher and lab S in processes of their own: the promise whenever nothing is under way."""
    stage.restore("pull")
    told, looks = storm(stage, 0, 4)
    assert [text for text in told if text.startswith("UNEXPECTED")] == []
    assert told["puller"] > 4 and looks > 20
