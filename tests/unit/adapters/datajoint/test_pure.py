"""The parts of the DataJoint adapter that need no server."""

from __future__ import annotations

from attrs import evolve

from link.adapters.datajoint import rows, snapshot
from link.adapters.datajoint.catalog import snake_case
from link.adapters.datajoint.found import Mark
from link.adapters.datajoint.model import Column, Default, EntityModel, Index, Kind, TableModel

KEY = Column(name="id", kind=Kind.INTEGER, native="int", in_key=True, size=32, marker="int32")
NOTE = Column(name="note", kind=Kind.STRING, native="varchar(9)", size=9, default=Default(value="it's"), nullable=True)
KIND = Column(name="kind", kind=Kind.ENUM, native="enum('a','b')", labels=("a", "b"), collation="utf8mb4_bin")
ITEM = TableModel(schema="lab", name="item", comment="c", columns=(KEY, NOTE, KIND), indexes=(Index(columns=("note",)),))
ENTITY = EntityModel(backend="mysql", master=ITEM, parts=(evolve(ITEM, name="item__part"),))


def test_a_declaration_survives_its_text():
    """What is kept beside the local table is the declaration, whole."""
    assert snapshot.load(snapshot.dump(ENTITY)) == ENTITY


def test_changes_are_told_in_words():
    """Columns that came, went or changed their type, and parts that came or went, are named."""
    wider = evolve(NOTE, native="varchar(20)", size=20)
    more = Column(name="more", kind=Kind.DATE, native="date")
    now = evolve(ENTITY, master=evolve(ITEM, columns=(KEY, wider, more)), parts=())
    said = " ".join(snapshot.differences(ENTITY, now))
    for part in ("'kind' is gone", "'more' is new", "is now varchar(20)", "item__part is gone"):
        assert part in said
    assert snapshot.differences(ENTITY, evolve(ENTITY, master=evolve(ITEM, comment="other", indexes=()))) == []


def test_runs_fit_into_memory_and_keep_their_order():
    """Keys are divided by bytes; one that is too large is alone, and none is lost."""
    keys = [(str(n),) for n in range(6)]
    divided = rows.runs(keys, [4, 5, 2, 30, 1, 1], 10)
    assert divided == [keys[0:2], keys[2:3], keys[3:4], keys[4:6]]


def test_names_and_marks_are_read_as_datajoint_writes_them():
    """Class names become table names, and comments are divided into mark and text."""
    assert (snake_case("Session"), snake_case("BrainRegion")) == ("session", "brain_region")
    assert Mark.split(":<blob>:the trace: raw") == Mark("<blob>", "the trace: raw")
    assert Mark.split("no mark: here") == Mark("", "no mark: here")
