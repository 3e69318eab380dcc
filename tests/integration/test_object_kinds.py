"""Every codec of DataJoint that keeps values in a store, and codecs built on them, with masters' and parts' objects."""

from __future__ import annotations

import json
import math
import shutil
import sys

import datajoint as dj
import numpy as np
import pytest
from datajoint.builtin_codecs.schema import SchemaCodec
from stored import collect, names_in
from test_objects import both, files, labs, one  # noqa: F401

from link import errors
from link.__main__ import main
from link.adapters.datajoint import source
from link.infrastructure import naming, progress


class Trace(SchemaCodec):
    """A codec of the user's own with files under schema, table and key."""

    name = "link_trace"

    def encode(self, value, *, key=None, context=None, store_name=None):
        schema, table, field, primary = self._extract_context(key, context)
        config = self._codec_config(key, context)
        path, _ = self._build_path(schema, table, field, primary, ext=".trace", store_name=store_name, config=config)
        self._get_backend(store_name, config=config).put_buffer(value, path)
        return {"path": path, "store": store_name, "rate": 0.1, "unit": "µV"}

    def decode(self, stored, *, key=None, context=None):
        backend = self._get_backend(stored["store"], config=self._codec_config(key, context))
        return stored["rate"], stored["unit"], backend.get_buffer(stored["path"])


class Graph(dj.Codec):
    """A codec of the user's own built on another one."""

    name = "link_graph"

    def get_dtype(self, is_store):
        return "<blob>"

    def encode(self, value, *, key=None, store_name=None):
        return {"graph": value}

    def decode(self, stored, *, key=None):
        return stored["graph"]


DEFINITION = """
shot : int32
day : varchar(16)
---
one=null : <object@raw>
many=null : <object@raw>
array=null : <npy@raw>
raw=null : <filepath@raw>
own=null : <link_trace@raw>
graph=null : <link_graph@raw>
plain=null : <blob@>
"""
PART = """
-> master
cell : int16
---
picture=null : <npy@>
"""
COLUMNS = ["one", "many", "array", "raw", "own", "graph", "plain"]


def fill(labs):  # noqa: F811
    table = labs.source.declare(DEFINITION, PART)
    folder = labs.theirs.parent / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("first")
    (folder / "deep" / "b.bin").write_bytes(b"second" * 1000)
    (labs.theirs / "mouse" / "day 1").mkdir(parents=True)
    (labs.theirs / "mouse" / "day 1" / "data.bin").write_bytes(b"acquired")
    (folder.parent / "picture.png").write_bytes(b"a picture")
    for shot in range(2):
        key = {"shot": shot, "day": "2024/01:01"}
        labs.source.insert(
            table,
            key,
            one=str(folder.parent / "picture.png"),
            many=str(folder),
            array=np.arange(12.0).reshape(3, 4) + shot,
            raw="mouse/day 1/data.bin",
            own=b"own bytes",
            graph={"nodes": shot},
            plain=[1, 2, shot],
        )
        labs.source.insert(table.Cell, {**key, "cell": 1}, picture=np.ones(5, dtype="uint8"))
    labs.source.insert(table, {"shot": 9, "day": "none"})
    return table


@both
def test_every_codec_reads_locally_what_it_reads_at_the_source(labs):  # noqa: F811
    """Files, folders, arrays, referenced files and codecs of the user's own, default stores included, without the source."""
    fill(labs)
    shot = labs.linked()
    assert shot.pull().pulled == 3
    shutil.rmtree(labs.theirs)
    row = (shot & {"shot": 1}).fetch1()
    assert (row["one"].read(), row["one"].ext, row["raw"].read()) == (b"a picture", ".png", b"acquired")
    assert {name: row["many"].open(name).read() for name in ("a.txt", "deep/b.bin")} == {
        "a.txt": b"first",
        "deep/b.bin": b"second" * 1000,
    }
    assert row["many"].verify()
    assert (row["array"].load() == np.arange(12.0).reshape(3, 4) + 1).all()
    assert (row["own"], row["graph"], row["plain"]) == ((0.1, "µV", b"own bytes"), {"nodes": 1}, [1, 2, 1])
    assert ((shot.Cell & {"shot": 0}).fetch1("picture").load() == 1).all()
    assert set((shot & {"shot": 9}).proj(*COLUMNS).fetch1().values()) == {9, "none", None}


@both
def test_paths_name_the_local_schema_and_keep_the_key(labs):  # noqa: F811
    """Files lie under the local schema, the table and the key, as DataJoint would put them; nothing names the source."""
    fill(labs)
    labs.linked().pull()
    rows = names_in(labs.lab_l, "shot", COLUMNS)
    assert len(rows) == 3
    for row in rows:
        assert labs.lab_s.source_schema not in json.dumps(row)
        if row[0]:
            head, _, name = row[0]["path"].rpartition("/")
            head, key = head.split("/shot/")
            assert head == f"_schema/{labs.lab_l.local_schema}"
            assert key in {"shot=0/day=2024%2F01%3A01", "shot=1/day=2024%2F01%3A01"}
            assert name.startswith("one_") and name.endswith(".png")
            assert row[3]["path"] == "mouse/day 1/data.bin"
            assert all(fact["store"] == "kept" for fact in row)


@both
def test_garbage_collections_know_every_kind(labs):  # noqa: F811
    """Nothing named is removed locally, not even what DataJoint overlooks; after a delete all but the user's own files go."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    everything = files(labs.ours)
    for _ in range(2):
        assert labs.gc(dry_run=False)["deleted"] == 0
        labs.forget_flights()
        shot.pull()
    assert files(labs.ours) == everything
    assert (shot & {"shot": 1}).fetch1("graph") == {"nodes": 1}
    collected = collect(labs.lab_s.source_schema, labs.source.connection, "raw")
    graphs = [row[5]["path"] for row in names_in(labs.lab_s, "shot", COLUMNS) if row[5]]
    assert sorted(set(graphs) & set(collected["orphaned_hash_paths"])) == sorted(graphs)  # DataJoint's own fault, at lab S
    shot.delete()
    labs.forget_flights()
    shot.pull("shot > 99")
    labs.gc(dry_run=False)
    assert files(labs.ours) == ["mouse/day 1/data.bin"]


@one
def test_a_file_of_the_users_own_is_never_overwritten(labs):  # noqa: F811
    """A file at the path of a `<filepath@>` is used where it is the same, and in the way where it is not."""
    fill(labs)
    file = labs.ours / "mouse" / "day 1" / "data.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"ACQUIRED")
    shot = labs.linked()
    faults = shot.pull().objects_missing
    assert [(type(fault), "data.bin" in str(fault)) for fault in faults] == [(errors.ObjectInTheWay, True)] * 2
    assert (file.read_bytes(), len(shot())) == (b"ACQUIRED", 1)
    file.write_bytes(b"acquired")
    stamp = file.stat().st_mtime_ns
    assert shot.pull().pulled == 2
    assert file.stat().st_mtime_ns == stamp


@one
def test_an_empty_folder_comes_along(labs):  # noqa: F811
    """It is made locally; where a garbage collection has taken it away, as those do, nothing is missing."""
    table, folder = fill(labs), labs.theirs.parent / "empty"
    folder.mkdir()
    labs.source.insert(table, {"shot": 5, "day": "none"}, many=str(folder))
    shot = labs.linked()
    assert shot.pull().pulled == 4
    (path,) = labs.ours.glob("**/shot=5/*/many_*[!n]")
    assert path.is_dir()
    path.rmdir()
    assert shot.verify(deep=True).healthy


@one
def test_a_local_store_that_is_not_there_is_not_made(labs):  # noqa: F811
    """It may be a disk that is not mounted: the pull is refused before anything is registered."""
    fill(labs)
    shot = labs.linked()
    assert shot.pull("shot = 9").pulled == 1
    shutil.rmtree(labs.ours)
    with pytest.raises(errors.StoreNotAccessible, match=str(labs.ours)):
        shot.pull()
    assert not labs.ours.exists()
    labs.ours.mkdir()
    assert shot.pull().pulled == 2


@one
@pytest.mark.parametrize("harm", ["array cut", "file gone", "file grown", "folder gone"])
def test_wrong_files_and_folders_are_noticed(labs, harm):  # noqa: F811
    """An array that is too short for its shape, a folder without one of its files or with a longer one, a folder that is gone."""
    fill(labs)
    row = names_in(labs.lab_s, "shot", COLUMNS)[0]
    folder, array = labs.theirs / row[1]["path"], labs.theirs / row[2]["path"]
    match harm:
        case "array cut":
            array.write_bytes(array.read_bytes()[:-64])
        case "file gone":
            (folder / "a.txt").unlink()
        case "file grown":
            (folder / "a.txt").write_text("longer than recorded")
        case "folder gone":
            shutil.rmtree(folder)
    (fault,) = labs.linked().pull().objects_missing
    assert fault.column == ("array" if harm == "array cut" else "many")
    assert isinstance(fault, errors.ObjectDamaged) == (harm != "folder gone")


@one
def test_a_default_store_that_nobody_names_is_an_error(labs):  # noqa: F811
    """What `<blob@>` means at the source has to be said by the source's own stores."""
    fill(labs)
    with pytest.raises(errors.StoreNotConfigured, match=r"default store of the source side.*shot\.plain.*stores\.default"):
        labs.linked(source_stores={"raw": labs.source.config.stores["raw"]}).pull()


@one
def test_a_path_that_leads_out_of_the_store_is_refused(labs):  # noqa: F811
    """A row of lab S cannot make lab L read or write outside of the stores."""
    fill(labs)
    facts = json.dumps({"path": "../../etc/passwd", "store": "raw", "size": 5, "is_dir": False})
    labs.lab_s.server.admin_query(f"UPDATE {labs.lab_s.table('shot')} SET raw = %s WHERE shot = 9", (facts,))
    done = labs.linked().pull()
    (fault,) = done.objects_missing
    assert isinstance(fault, errors.ObjectDamaged)
    assert ("inside the store" in str(fault), fault.key["shot"], done.pulled) == (True, "9", 2)


@both
def test_verify_names_what_is_wrong_by_size_or_by_content(labs):  # noqa: F811
    """Nothing is wrong after a pull; then a missing file, a short one and a changed one are found, the last by reading."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    shutil.rmtree(labs.theirs)  # the source's store is not needed

    def found(*, deep, rows=shot):
        result = rows.verify(deep=deep)
        assert (result.healthy, result.deep) == (not result.faults, deep)
        return sorted((fault.column, fault.key["shot"], fault.harm.name) for fault in result.faults)

    whole = shot.verify()
    size = sum((labs.ours / path).stat().st_size for path in files(labs.ours))
    assert (whole.objects, whole.size, whole.faults) == (16, size + len(b"acquired"), ())  # a file that two rows name
    assert repr(whole).startswith("verified 16 objects (0.0 MB) by size (")
    assert found(deep=True) == []
    row = next(row for row in names_in(labs.lab_l, "shot", ["shot", *COLUMNS]) if row[0] == 1)
    one, many, array, graph = (labs.ours / row[place]["path"] for place in (1, 2, 3, 6))
    one.write_bytes(b"a pic")
    (many / "a.txt").unlink()
    array.write_bytes(array.read_bytes()[:-8])
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    assert found(deep=False) == [("many", "1", "DAMAGED"), ("one", "1", "DAMAGED")]
    assert [name for name, *_ in found(deep=True)] == ["array", "graph", "many", "one"]
    assert found(deep=True, rows=shot & "shot = 0") == []
    shutil.rmtree(many)
    graph.unlink()
    assert [(name, kind) for name, _, kind in found(deep=False)] == [
        ("graph", "MISSING"),
        ("many", "MISSING"),
        ("one", "DAMAGED"),
    ]
    text = str(shot.verify())
    assert f"shot (shot='1', day='2024/01:01') graph: {row[6]['path']!r} in store 'kept' is missing" in text
    assert "5 bytes instead of 9 bytes" in text


@both
def test_progress_knows_the_bytes_of_a_whole_pull(labs, monkeypatch):  # noqa: F811
    """Before the first object arrives the bar has all bytes that are to come, by transfers of a bounded size."""
    fill(labs)
    shot, bars = labs.linked(), []

    class Shown:
        def __init__(self, *, unit, total=None, **_):
            self.n, self.total, self.first, self.unit = 0, total, total, unit
            bars.append(self)

        def update(self, size):
            self.n += size

        def close(self):
            pass

    monkeypatch.setattr(progress, "tqdm", Shown)
    monkeypatch.setattr(progress.Bar, "_is_seen", staticmethod(lambda: True))
    monkeypatch.setattr(source, "OBJECT_BYTES", 7_000)  # a row has some 6,250: no two of them fit into one transfer
    shot.pull("shot = 0 and day <> '%'")
    shot.pull()
    shot.delete()
    done = labs.lab_l.count("~link_decisions")
    assert shot.pull().pulled == 3
    assert labs.lab_l.count("~link_decisions") == done + 2
    rows = [*_facts(labs, "shot", COLUMNS), *_facts(labs, "shot__cell", ["picture"])]
    arrays = [math.prod(fact["shape"]) * np.dtype(fact["dtype"]).itemsize for fact in rows if "shape" in fact]
    recorded = sum(fact.get("size") or 0 for fact in rows) + sum(arrays)
    manifests = sum(path.stat().st_size for path in labs.theirs.rglob("*.manifest.json"))
    unknown = len(b"own bytes") * 2 + len(arrays) * 128 + manifests  # of which nothing is recorded
    shown = [(bar.first, bar.n, bar.total) for bar in bars if bar.unit == "B"]
    half = (recorded // 2, (recorded + unknown) // 2, (recorded + unknown) // 2)
    assert shown == [half, half, (recorded, recorded + unknown, recorded + unknown)]


def _facts(labs, table, columns):  # noqa: F811
    return [fact for row in names_in(labs.lab_s, table, columns) for fact in row if fact]


@one
def test_verify_looks_at_parts_and_at_stores_that_are_gone(labs, monkeypatch, capsys):  # noqa: F811
    """A part's object that is gone is named with the part's key, a store that is gone is one error; the command exits with 1."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    picture = next(row[1]["path"] for row in names_in(labs.lab_l, "shot__cell", ["shot", "picture"]) if row[0] == 0)
    (labs.ours / picture).unlink()
    for rows, count in ((shot & "shot = 0", 1), (shot & "shot = 1", 0), (shot(), 1)):
        faults = rows.verify().faults
        assert [(fault.table, dict(fault.key)) for fault in faults] == [
            ("shot__cell", {"shot": "0", "day": "2024/01:01", "cell": "1"})
        ][:count]
    monkeypatch.setattr(naming, "linked_class", lambda _: shot)
    monkeypatch.setattr(sys, "argv", ["link", "verify", "--deep", "my_links:Shot"])
    assert main() == 1
    assert "by content, 1 missing" in capsys.readouterr().out
    shutil.rmtree(labs.ours)
    with pytest.raises(
        errors.StoreNotAccessible, match="'kept' of the local side cannot be read.*Nothing was changed.*verify again"
    ):
        shot.verify()
    assert main() == 1
    assert "cannot be read" in capsys.readouterr().err
    labs.ours.mkdir()
    with pytest.raises(errors.StoreNotAccessible, match="not mounted"):
        shot.verify()


@one
def test_a_damaged_object_is_copied_again(labs):  # noqa: F811
    """A local object of the right size and another content is not taken for the source's: delete and pull bring it anew."""
    fill(labs)
    shot = labs.linked()
    shot.pull()
    path = labs.ours / next(row[1]["path"] for row in names_in(labs.lab_l, "shot", ["shot", "graph"]) if row[0] == 1)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert [fault.column for fault in shot.verify(deep=True).faults] == ["graph"]
    (shot & "shot = 1").delete()
    assert shot.pull().pulled == 1
    assert shot.verify(deep=True).healthy
