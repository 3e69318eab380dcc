"""The declaration as text, and what has changed since."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from link.adapters.datajoint import snapshot
from link.adapters.datajoint.model import Column, Default, EntityModel, Index, Kind, TableModel

ID = Column(name="id", kind=Kind.INTEGER, native="int(11)", in_key=True, size=32)
NAME = Column(name="name", kind=Kind.STRING, native="varchar(32)", size=32, in_key=True, collation="utf8mb4_bin")
DATA = Column(name="data", kind=Kind.BYTES, native="longblob", marker="<blob>", nullable=True, default=Default(value="x"))
TABLE = TableModel(
    schema="lab", name="session", comment="c", columns=(ID, NAME, DATA), indexes=(Index(columns=("name",), unique=True),)
)
ENTITY = EntityModel(backend="mysql", master=TABLE, parts=(evolve(TABLE, name="session__trial", key_order=("name", "id")),))


def changed(**columns):
    """Return the entity with the master's columns changed."""
    new = tuple(evolve(column, **columns.get(column.name, {})) for column in TABLE.columns)
    return evolve(ENTITY, master=evolve(TABLE, columns=new))


def test_the_text_holds_everything():
    """Whatever a declaration holds comes back equal."""
    assert snapshot.load(snapshot.dump(ENTITY)) == ENTITY


def test_unknown_facts_are_ignored_and_unknown_formats_refused():
    """A later version may add fields; one that changes their meaning is told apart."""
    data = json.loads(snapshot.dump(ENTITY))
    data["entity"]["master"]["columns"][0]["colour"] = "red"
    assert snapshot.load(json.dumps(data)) == ENTITY
    with pytest.raises(ValueError, match="newer"):
        snapshot.load(json.dumps({**data, "format": 99}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": {"native": "varchar(64)", "size": 64}}, "column 'name' is now varchar(64), was varchar(32)"),
        ({"data": {"nullable": False}}, "column 'data' may not be NULL any more"),
        ({"id": {"in_key": False}}, "column 'id' is not part of the key any more"),
        ({"name": {"collation": "latin1_bin"}}, "column 'name' is now compared by latin1_bin, was by utf8mb4_bin"),
        ({"id": {"unsigned": True, "native": "int unsigned"}}, "column 'id' is now int unsigned, was int(11)"),
    ],
)
def test_what_bears_on_copying_is_said(change, words):
    """Types, nullability, key and the key's collation are what a copy depends on."""
    assert snapshot.differences(ENTITY, changed(**change)) == [words]


@pytest.mark.parametrize(
    "change",
    [
        {"id": {"native": "int"}},
        {"id": {"comment": "new"}},
        {"id": {"lineage": "lab.other.id"}},
        {"data": {"default": None}},
    ],
)
def test_what_does_not_is_free(change):
    """A server's new spelling, comments, lineage and defaults stop no pull."""
    assert snapshot.differences(ENTITY, changed(**change)) == []


def test_parts_and_columns_that_come_and_go_are_said():
    """A part or a column that is new or gone is named with its table."""
    trial = ENTITY.parts[0]
    fewer = evolve(ENTITY, parts=(evolve(trial, columns=trial.columns[:2]), evolve(trial, name="session__unit")))
    assert snapshot.differences(ENTITY, fewer) == [
        "part table session__unit is new",
        "column 'data' of part table session__trial is gone",
    ]
    assert snapshot.differences(fewer, ENTITY)[0] == "part table session__unit is gone"
