from __future__ import annotations

from types import SimpleNamespace

import datajoint as dj
import numpy as np
import pandas as pd
import pytest

from link.domain.errors import BadRestriction
from link.infrastructure.restrictions import checked

TABLE = SimpleNamespace(heading=SimpleNamespace(names=["subject", "session", "meta"]))
RECORD = np.array([("m0", 1)], dtype=[("name", "U8"), ("number", int)])


@pytest.mark.parametrize(
    "restriction",
    [
        {"sesion": 1},
        [{"subject": "m0"}, {"sesion": 1}],
        ({"sesion": 1},),
        dj.AndList([{"sesion": 1}]),
        dj.Not({"sesion": 1}),
        dj.Not([dj.Not({"sesion": 1})]),
        RECORD,
        RECORD[0],
        list(RECORD),
        pd.DataFrame({"sesion": [1, 2]}),
        ({"sesion": n} for n in range(2)),
        [[{"sesion": 1}]],
    ],
)
def test_what_names_no_attribute_is_refused(restriction):
    """Wherever it is nested, a mapping, record or frame without an attribute, which DataJoint takes for "all", is an error."""
    with pytest.raises(BadRestriction, match="subject, session, meta"):
        checked(TABLE, restriction)


@pytest.mark.parametrize(
    "restriction",
    ["session = 1", {}, {"session": 1, "colour": "red"}, {"meta.rig": 2}, True, None, dj.Top(3), dj.U("subject")],
)
def test_the_rest_is_datajoints_business(restriction):
    """Strings, partly known and empty mappings, JSON paths, Top and U are handed on untouched."""
    assert checked(TABLE, restriction) is restriction


def test_iterators_are_not_used_up():
    """A generator of keys restricts by all of its keys, although each is looked at first."""
    keys = [{"session": 1}, {"session": 2}]
    assert checked(TABLE, iter(keys)) == keys
    assert checked(TABLE, dj.Not(iter(keys))).restriction == keys


def test_the_kinds_of_list_stay_what_they_are():
    """An AndList still means AND, and an empty list still means nothing."""
    both = checked(TABLE, dj.AndList(["session = 1", {"subject": "m0"}]))
    assert isinstance(both, dj.AndList)
    assert both == ["session = 1", {"subject": "m0"}]
    assert checked(TABLE, []) == []


def test_a_frame_restricts_by_its_rows():
    """A pandas.DataFrame becomes one record a row."""
    records = checked(TABLE, pd.DataFrame({"session": [1, 2]}))
    assert [record["session"] for record in records] == [1, 2]


@pytest.mark.parametrize("mask", [pd.Series([False, True]), np.array([False, True]), [{"session": 1}, True]])
def test_a_mask_is_refused(mask):
    """A list with True in it selects everything for DataJoint, so a mask of pandas would delete all rows."""
    with pytest.raises(BadRestriction, match="True or False"):
        checked(TABLE, mask)
