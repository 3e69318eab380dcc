from __future__ import annotations

import inspect
from pathlib import Path

import datajoint as dj
import pytest

from link.domain.errors import WriteRefused
from link.infrastructure import ways
from link.infrastructure.linked_table import LinkedPart, LinkedTable
from link.infrastructure.source_table import SourceTable

SETS = {
    "protocol": frozenset(ways.PROTOCOL),
    "direct": frozenset(ways.DIRECT),
    "refused": frozenset(ways.REFUSED),
    "reading": ways.READING,
}
WRITING = Path(__file__).parents[3] / "docs" / "writing.md"


def public(*kinds):
    return {name for kind in kinds for name in dir(kind) if not name.startswith("_")}


def test_every_datajoint_method_has_its_place():
    """Whatever DataJoint's tables can do is in exactly one set: a new method of a new release fails here until it is."""
    known = [name for names in SETS.values() for name in names]
    assert len(known) == len(set(known))
    of_parts_only = {"master"}
    tables = public(dj.Manual, dj.Lookup, dj.Imported, dj.Computed, dj.Part, dj.FreeTable, LinkedTable)
    assert tables - set(known) - of_parts_only == set()


def test_nothing_in_the_table_is_made_up():
    """Each way exists on a linked table or on one of DataJoint's."""
    names = public(dj.Computed, dj.Part, LinkedTable) | {"connection", "database"}
    assert {name for set_ in SETS.values() for name in set_} - names - {"declaration_context"} == set()


@pytest.mark.parametrize(
    ("kind", "refused"),
    [(LinkedTable, ways.REFUSED), (LinkedPart, ways.REFUSED_ON_PARTS), (SourceTable, ways.REFUSED_ON_SOURCE)],
)
def test_a_refused_way_is_refused_on_the_class_that_has_it(kind, refused):
    """No refused method is DataJoint's own on linked tables, their parts and sources, and each says what to do instead."""
    for name, instead in refused.items():
        method = inspect.getattr_static(kind, name)
        assert isinstance(method, property) == (name in ways.PROPERTIES)
        assert (method.fget if isinstance(method, property) else method).__doc__ == f"Refuse: {instead}"


def test_parts_and_sources_refuse_all_that_masters_refuse():
    """A part or source never has a way to write that the master has not."""
    assert set(ways.REFUSED) | set(ways.DIRECT) <= set(ways.REFUSED_ON_PARTS) == set(ways.REFUSED_ON_SOURCE)


def test_the_documentation_has_every_way():
    """docs/writing.md speaks of each way to write."""
    text = WRITING.read_text()
    missing = [n for n in {*ways.PROTOCOL, *ways.DIRECT, *ways.REFUSED_ON_PARTS} if f"`{n}`" not in text]
    assert missing == []


def test_the_error_says_what_to_do():
    """WriteRefused names method, table and the way out."""
    error = WriteRefused(method="update1", table="linked table Session", instead=ways.REFUSED["update1"])
    assert "update1() is not available on linked table Session" in str(error)
    assert "pull() again" in str(error)
