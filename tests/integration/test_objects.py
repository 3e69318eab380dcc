"""Stored objects come along: whole, verified, and out of reach of garbage collections."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from attrs import define, field
from servers import Product
from stored import StoredLab, collect, folder_store, names_in

from link import errors
from link.adapters.datajoint import flight, moving

MIXED = [(Product.MYSQL, Product.POSTGRESQL), (Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL)]


def both(test):
    return pytest.mark.parametrize("pair", MIXED, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}")(test)


def one(test):
    return pytest.mark.parametrize("pair", MIXED[:1], ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}")(test)


@define(eq=False)
class Both:
    """Two labs with a store each, a filled table at S, and its link at L."""

    lab_s: object
    lab_l: object
    source: StoredLab
    connection: object
    theirs: Path
    ours: Path
    link: object
    options: dict = field(factory=dict)

    def linked(self, **options):
        given = {"stores": {"kept": "raw"}, "source_stores": {"raw": folder_store(self.theirs), "default": "raw"}}
        options = {**given, **self.options, **options}
        return self.link(self.lab_s, self.lab_l, type("Shot", (), {}), self.connection, **options)

    def gc(self, *, dry_run=True):
        return collect(self.lab_l.local_schema, self.connection, "kept", dry_run=dry_run)

    def forget_flights(self):
        """Let the record of objects on their way be older than its time of grace."""
        decisions, ago = self.lab_l.table("~link_decisions"), flight.GRACE + 10
        time = (
            f"decided - INTERVAL '{ago} second'"
            if self.lab_l.server.backend == "postgresql"
            else f"decided - INTERVAL {ago} SECOND"
        )
        self.lab_l.server.admin_query(f"UPDATE {decisions} SET decided = {time}")


@pytest.fixture
def labs(lab_s, lab_l, connect, link, tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    source, local = connect(lab_s, lab_s.owner), connect(lab_l, lab_l.user)
    source._config.stores.update(raw=folder_store(theirs), default="raw", filepath_default="raw")
    local._config.stores["kept"] = folder_store(ours, subfolding=(2, 2))
    local._config["download_path"] = str(tmp_path / "downloads")
    return Both(lab_s, lab_l, StoredLab(lab_s, source), local, theirs, ours, link)


def fill(labs, shots=4):
    """Fill Shot and Cell; attachments have one name and two contents, and two traces are equal."""
    table = labs.source.declare()
    for shot in range(shots):
        note = labs.theirs.parent / f"notes{shot % 2}" / "note.txt"
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"a note {shot % 2}")
        values = {"image": np.arange(100) + shot, "note": None if shot == 3 else str(note)}
        labs.source.insert(table, {"shot": shot}, **values)
        for cell in range(2):
            labs.source.insert(table.Cell, {"shot": shot, "cell": cell}, trace=bytes([cell]) * 1000)
    return table


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@both
def test_the_local_side_reads_everything_without_the_source(labs):
    """Blobs, attachments and bytes of masters and parts are the source's, with its stores and server's rows out of reach."""
    fill(labs)
    shot = labs.linked()
    assert shot.pull().pulled == 4
    shutil.rmtree(labs.theirs)
    assert all((row["image"] == np.arange(100) + row["shot"]).all() for row in shot.proj("image").to_dicts())
    notes = {row["shot"]: row["note"] and Path(row["note"]) for row in shot.proj("note").to_dicts()}
    assert [notes[n] and notes[n].read_text() for n in range(4)] == ["a note 0", "a note 1", "a note 0", None]
    assert {row["trace"] for row in shot.Cell().proj("trace").to_dicts()} == {bytes([cell]) * 1000 for cell in range(2)}
    assert not Path("note.txt").exists()


@both
def test_nothing_in_a_local_row_names_the_source(labs):
    """Path, store and schema are the local ones; what is recorded of the content stays; equal contents are one object."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    for table, columns in (("shot", ["image", "note"]), ("shot__cell", ["trace"])):
        theirs = {
            json.dumps([fact and (fact["hash"], fact["size"]) for fact in row]) for row in names_in(labs.lab_s, table, columns)
        }
        rows = names_in(labs.lab_l, table, columns)
        assert {json.dumps([fact and (fact["hash"], fact["size"]) for fact in row]) for row in rows} == theirs
        for fact in [fact for row in rows for fact in row if fact]:
            assert (fact["store"], fact["schema"]) == ("kept", labs.lab_l.local_schema)
            assert labs.lab_s.source_schema not in json.dumps(fact)
            assert (labs.ours / fact["path"]).stat().st_size == fact["size"]
    assert len(files(labs.ours)) == 4 + 2 + 2
    assert "<blob@kept>" in shot.describe() or shot.heading["image"].store == "kept"


@both
def test_garbage_collections_leave_what_is_named_and_take_the_rest(labs):
    """Collections on both sides after a pull, and after the record is settled, remove nothing; after a delete, everything."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    assert labs.gc(dry_run=False)["deleted"] == 0
    labs.forget_flights()
    assert shot.pull().pulled == 0
    assert labs.lab_l.count("link_objects_in_flight") == 0
    assert labs.gc(dry_run=False)["deleted"] == 0
    assert collect(labs.lab_s.source_schema, labs.source.connection, "raw", dry_run=False)["deleted"] == 0
    assert len(shot.proj("image").to_dicts()) == 4
    shot.delete()
    assert labs.gc(dry_run=False)["deleted"] == 8
    assert files(labs.ours) == []


@one
def test_a_collection_in_the_middle_of_a_pull_removes_nothing(labs, monkeypatch):
    """A whole garbage collection between the arrival of the objects and the commit of their rows finds them named."""
    fill(labs)
    shot, found = labs.linked(), []
    plain = moving.Mover.move

    def collected(mover, moves):
        left_out = plain(mover, moves)
        found.append((labs.gc(dry_run=False), files(labs.ours)))
        return left_out

    monkeypatch.setattr(moving.Mover, "move", collected)
    assert shot.pull().pulled == 4
    assert [(stats["deleted"], len(left)) for stats, left in found] == [(0, 8)]
    assert len(shot.proj("image").to_dicts()) == 4


@one
def test_what_an_undone_pull_brought_is_removed_by_the_next_collections(labs, monkeypatch):
    """Objects of a transfer that failed stay protected for the time of grace and are DataJoint's to remove then."""
    fill(labs)
    shot = labs.linked()
    plain = moving.Mover.move

    def failing(mover, moves):
        plain(mover, moves)
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(moving.Mover, "move", failing)
        with pytest.raises(RuntimeError):
            shot.pull()
    assert shot.pull("shot > 99").pulled == 0
    assert (len(shot()), len(files(labs.ours)), labs.gc(dry_run=False)["deleted"]) == (0, 8, 0)
    labs.forget_flights()
    assert shot.pull({"shot": 0}).pulled == 1
    assert labs.gc(dry_run=False)["deleted"] == 4
    assert len(shot.proj("image").to_dicts()) == 1


@one
@pytest.mark.parametrize("harm", ["missing", "short", "changed"])
def test_a_wrong_object_leaves_out_its_entity_and_is_named(labs, harm):
    """A missing, truncated or altered object: its entity is neither registered nor local, and the result says which it is."""
    fill(labs)
    path = labs.theirs / names_in(labs.lab_s, "shot", ["image"])[0][0]["path"]
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + (b"" if harm == "short" else b"x"))
    shot = labs.linked()
    kind = errors.ObjectMissing if harm == "missing" else errors.ObjectDamaged
    done = shot.pull()
    (fault,) = done.objects_missing
    assert type(fault) is kind
    assert (fault.column, fault.path) == ("image", path.relative_to(labs.theirs).as_posix())
    assert "(shot='0')" in str(fault)
    assert (done.pulled, "1 left out (object missing, damaged or in the way)" in str(done)) == (3, True)
    assert (len(shot()), labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema)) == (3, 3)
    assert not list(labs.ours.rglob(path.name))


@one
def test_a_content_that_is_gone_leaves_out_all_that_name_it(labs):
    """Two entities share a note and all share the cells' traces: each entity that names what is missing is named, once."""
    fill(labs)
    note, trace = names_in(labs.lab_s, "shot", ["note"])[0][0], names_in(labs.lab_s, "shot__cell", ["trace"])[0][0]
    kept = (labs.theirs / trace["path"]).read_bytes()
    for facts in (note, trace):
        (labs.theirs / facts["path"]).unlink()
    shot = labs.linked()
    done = shot.pull()
    assert (done.pulled, len(shot())) == (0, 0)
    assert [fault.column for fault in done.objects_missing] == ["note", "trace", "note", "trace"]
    (labs.theirs / trace["path"]).write_bytes(kept)
    done = shot.pull()
    assert (done.pulled, [fault.key for fault in done.objects_missing]) == (2, [{"shot": "0"}, {"shot": "2"}])


@one
def test_a_lost_row_whose_object_is_gone_stays_registered(labs):
    """It was lab L's before: lab S may not delete it because an object of it is missing now."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    labs.lab_l.server.admin_query(f"DELETE FROM {labs.lab_l.table('shot__cell')} WHERE shot = 0")
    labs.lab_l.server.admin_query(f"DELETE FROM {labs.lab_l.table('shot')} WHERE shot = 0")
    (labs.theirs / names_in(labs.lab_s, "shot", ["image"])[0][0]["path"]).unlink()
    for file in labs.ours.rglob("*"):
        file.unlink() if file.is_file() else None
    done = shot.pull()
    assert (done.pulled, [fault.key for fault in done.objects_missing]) == (0, [{"shot": "0"}])
    assert labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema) == 4


@one
def test_every_fault_of_the_settings_is_named_before_anything_is_made(labs, tmp_path):
    """No mapping, unknown stores, folders that are missing: the error says column, store and what to set."""
    fill(labs, 1)
    raw = {"raw": folder_store(labs.theirs)}
    cases = [
        ({"stores": None}, errors.StoreNotMapped, "'image' .*'raw'.*stores="),
        ({"stores": {"kept": "other"}}, errors.StoreNotMapped, "'image' .*'raw'"),
        ({"stores": {"nowhere": "raw"}}, errors.StoreNotConfigured, r"'nowhere' of the local side.*shot\.image.*stores"),
        ({"source_stores": {}}, errors.StoreNotConfigured, "'raw' of the source side"),
        ({"source_stores": {"raw": {"protocol": "file", "location": str(tmp_path / "no")}}}, errors.StoreNotConfigured, "no"),
    ]
    for options, kind, text in cases:
        options.setdefault("source_stores", raw)
        with pytest.raises(kind, match=text):
            labs.linked(**options).pull()
    with pytest.raises(ValueError, match="two local stores"):
        labs.linked(stores={"kept": "raw", "more": "raw"})
    tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{}'"
    for lab, schema in ((labs.lab_l, labs.lab_l.local_schema), (labs.lab_s, labs.lab_s.outbound_schema)):
        names = lab.server.admin_query(tables.format(schema) + " AND table_name LIKE '%shot%'")
        assert names[0][0] == 0


@one
def test_a_local_row_of_the_same_content_is_no_difference(labs):
    """A conflicting row of the user's own is compared by what is recorded of its objects, not by where they are."""
    fill(labs)
    shot = labs.linked(allow_direct_insert=True)
    shot.pull("shot = 0")
    shot.insert1({"shot": 1, "image": np.arange(100) + 1, "note": None})
    [conflict] = shot.pull("shot = 1").conflicts
    assert list(conflict.columns) == ["note"]


@one
def test_by_reference_rows_point_at_the_sources_objects(labs):
    """Nothing is copied, both sides' collections leave registered objects alone, and released ones are lab S's to remove."""
    table = fill(labs)
    labs.connection._config.stores["shared"] = folder_store(labs.theirs)
    before = files(labs.theirs)
    shot = labs.linked(stores={"shared": "raw"}, objects="reference")
    shot.pull("shot > 0")
    assert (files(labs.theirs), files(labs.ours)) == (before, [])
    facts = [row[0] for row in names_in(labs.lab_l, "shot", ["image"])]
    assert {fact["store"] for fact in facts} == {"shared"}
    assert {fact["path"] for fact in facts} <= set(before)
    labs.lab_s.befriend(["shot_outbound"])
    (table & "shot = 0").delete()
    assert collect(labs.lab_l.local_schema, labs.connection, "shared", dry_run=False)["deleted"] == 0
    assert collect(labs.lab_s.source_schema, labs.source.connection, "raw", dry_run=False)["deleted"] == 1
    assert all((row["image"] == np.arange(100) + row["shot"]).all() for row in shot.proj("image").to_dicts())
    with pytest.raises(Exception, match="Link|blocked|outbound"):
        (table & "shot = 1").delete()
    shot.delete()
    table.delete()
    assert collect(labs.lab_s.source_schema, labs.source.connection, "raw", dry_run=False)["deleted"] == 7
    assert files(labs.theirs) == []


@one
def test_by_reference_the_local_store_must_be_the_same_place(labs):
    """A local store that has not got the objects is an error, as are stores and modes that do not exist."""
    fill(labs)
    with pytest.raises(errors.NotShared, match="'kept' stands for the source's 'raw'"):
        labs.linked(objects={"kept": "reference"}).pull()
    assert labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema) == 0
    (labs.theirs / names_in(labs.lab_s, "shot", ["image"])[0][0]["path"]).unlink()
    labs.connection._config.stores["kept"] = folder_store(labs.theirs)
    done = labs.linked(objects={"kept": "reference"}).pull()
    assert (done.pulled, [fault.column for fault in done.objects_missing]) == (3, ["image"])
    for objects in ("move", {"raw": "copy"}):
        with pytest.raises(ValueError, match="move|no local stores"):
            labs.linked(objects=objects)


@pytest.mark.parametrize("pair", MIXED[2:], ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}")
def test_a_part_that_spells_its_master_otherwise_leaves_out_that_one(labs):
    """`ANN` is a part of `ann` here: what it names is missing, and `ann` is left out, not `bob`."""
    table = labs.source.declare(
        "name : varchar(8)\n---\nimage : <blob@raw>", "-> master\ncell : int16\n---\ntrace : <hash@raw>"
    )
    for name, part in (("bob", "bob"), ("ann", "ANN")):
        labs.source.insert(table, {"name": name}, image=1)
        facts = labs.source.insert(table.Cell, {"name": part, "cell": 1}, trace=name.encode())
    (labs.theirs / facts["trace"]["path"]).unlink()
    shot = labs.linked()
    done = shot.pull()
    assert (done.pulled, [fault.key for fault in done.objects_missing]) == (1, [{"name": "ANN", "cell": "1"}])
    assert list(shot.to_arrays("name")) == ["bob"]


@one
def test_a_store_that_is_not_mounted_leaves_out_nothing(labs):
    """Its folder is there and empty: that is one error, not a line for each object, and the next pull brings all."""
    fill(labs)
    shot = labs.linked()
    shot.pull("shot > 99")
    aside = labs.theirs.rename(labs.theirs.parent / "aside")
    labs.theirs.mkdir()
    with pytest.raises(errors.StoreNotAccessible, match="'raw' of the source side cannot be read.*not mounted"):
        shot.pull()
    assert (len(shot()), labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema)) == (0, 0)
    assert shot.doctor().healthy
    labs.theirs.rmdir()
    aside.rename(labs.theirs)
    assert shot.pull().pulled == 4
