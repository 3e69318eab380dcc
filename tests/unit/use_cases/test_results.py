"""Results are values that print as one line."""

from __future__ import annotations

import pickle

import pytest

from link.domain.errors import ObjectMissing, ValueNotRepresentable
from link.use_cases.results import DeleteResult, PullResult, RefreshResult


def test_an_empty_nightly_pull_is_one_quiet_line():
    """Counts of nothing are not told."""
    assert str(PullResult(seconds=0.04)) == "nothing new (0.0 s)"


def test_a_pull_tells_what_it_did():
    """Every count that is not nothing is in the line."""
    told = str(PullResult(pulled=1200, already_local=3, held_back=1, busy=2, recovered=1, conflicts=["x"], seconds=2))
    assert told == (
        "pulled 1,200, 3 already local, 1 held back (deletion requested), 2 busy, 1 transfer recovered, 1 conflict (2.0 s)"
    )


def test_a_pull_names_what_it_left_out():
    """A log of the night says which; the first twenty of them, in a notebook's cell too."""
    faults = [ObjectMissing(table="t", column="c", store="raw", path=f"p{n}", key={"k": str(n)}) for n in range(25)]
    value = ValueNotRepresentable(table="t", column="c", key={"k": "x"}, detail="no NaN there")
    told = repr(PullResult(pulled=1, not_representable=[value], objects_missing=faults)).splitlines()
    assert (len(told), told[-1].strip(), "no NaN there" in told[1]) == (22, "and 6 more", True)
    assert told[2].strip() == "Object 'p0' of column 'c' of t (k='0') is not in the source's store 'raw'."
    assert str(PullResult(objects_missing=faults[:1])).count("\n") == 1


def test_a_refresh_tells_what_it_did():
    """The number of requests comes first, what has changed after it."""
    assert str(RefreshResult(requested=2, new=1)) == "2 deletions requested, 1 new (0.0 s)"


def test_the_result_of_a_delete_is_a_number_that_carries_the_rest():
    """It computes and compares as the number of masters, and keeps its facts through pickling."""
    result = pickle.loads(pickle.dumps(DeleteResult(3, released=2, approved=1, removal={"entity": 3, "analysis": 7})))
    assert (result, result + 1, result.released, result.approved) == (3, 4, 2, 1)
    assert str(result) == "deleted 3, 2 released, 1 approved, 7 dependent rows (0.0 s)"
    assert str(DeleteResult(0)) == "nothing deleted (0.0 s)"


def test_results_are_frozen():
    """A result is what it is."""
    for result in (PullResult(), DeleteResult(1)):
        with pytest.raises(AttributeError):
            result.recovered = 2
