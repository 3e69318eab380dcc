"""Deaths, full disks and stores that refuse in the middle: undone or resumed, never a row whose object is missing or wrong."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time

import buckets
import pytest
from proxy import Proxy, refused
from stored import folder_store, names_in
from test_objects import files, fill, labs, one  # noqa: F401

from link import errors
from link.adapters.datajoint import flight, moving, places

BIG = 300 * 2**20
PULLER = """
import json, os, sys
import datajoint as dj
from link import LazySchema, Link
facts = json.loads(sys.stdin.read())
local = dj.Instance(*facts["local"], use_tls=False, backend=facts["backend"], database__name=facts["database"])
local.connection._config.stores.update(facts["local_stores"])
source = LazySchema(facts["source_schema"], stores=facts["source_stores"], **facts["source"])
link = Link(LazySchema(facts["local_schema"], connection=local.connection), source, stores={"kept": "raw"}, outbound=facts["outbound"])
print(link(type("Shot", (), {}))().pull())
"""


def puller(labs):  # noqa: F811
    """Start a process that pulls Shot."""
    ours, theirs = labs.lab_l.server, labs.lab_s.server
    account, link = labs.lab_l.user, labs.lab_s.link
    facts = {
        "local": [ours.host, account.user, account.password, ours.port],
        "backend": ours.backend,
        "database": ours.database_name,
        "local_schema": labs.lab_l.local_schema,
        "local_stores": {"kept": labs.connection._config.stores["kept"]},
        "source_schema": labs.lab_s.source_schema,
        "source_stores": {"raw": folder_store(labs.theirs)},
        "outbound": labs.lab_s.outbound_schema,
        "source": {
            "host": theirs.host,
            "port": theirs.port,
            "user": link.user,
            "password": link.password,
            "backend": theirs.backend,
            "database_name": theirs.database_name,
        },
    }
    process = subprocess.Popen([sys.executable, "-c", PULLER], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(facts))
    process.stdin.close()
    return process


def _size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # has got its name meanwhile
        return 0


@one
def test_a_process_killed_while_it_copies_leaves_nothing_for_ever(labs):  # noqa: F811
    """Killed in the middle of an object: no row, no whole object; the next pull takes over, and the rest is collected."""
    table = fill(labs, 1)
    big = labs.theirs.parent / "big"
    with big.open("wb") as file:
        file.truncate(BIG)
    labs.source.insert(table, {"shot": 7}, note=str(big), image=1)
    shot, flights = labs.linked(), labs.ours / "_schema" / labs.lab_l.local_schema / "link_in_flight"
    shot.pull("shot > 99")
    process = puller(labs)
    while not any(_size(path) > 2**20 for path in flights.glob("*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    unfinished = [path for path in flights.iterdir() if path.stat().st_size < BIG]
    assert (len(unfinished) > 0, len(shot())) == (True, 0)  # small ones may be being synced
    assert labs.gc(dry_run=False)["deleted"] == 0
    assert unfinished[0].exists()
    result = shot.pull()
    assert (result.pulled, result.recovered) == (2, 1)
    labs.forget_flights()
    shot.pull()
    assert labs.gc(dry_run=False)["deleted"] >= 1
    named = [fact["path"] for row in names_in(labs.lab_l, "shot", ["image", "note"]) for fact in row if fact]
    named += [row[0]["path"] for row in names_in(labs.lab_l, "shot__cell", ["trace"])]
    assert files(labs.ours) == sorted(set(named))
    assert (labs.ours / next(path for path in named if (labs.ours / path).stat().st_size > BIG)).exists()


def _parts(bucket):
    return [upload["Key"] for upload in buckets.get().fs.call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])]


def _killed_upload(labs, bucket, store, column="note"):  # noqa: F811
    """Kill a pull of two rows between two parts of its large object, and recover; return the linked table."""
    table = labs.source.declare("shot : int32\n---\nimage : <blob@raw>\nnote=null : <attach@raw>\nfile=null : <filepath@raw>")
    (labs.theirs / "mouse").mkdir()
    places = {"note": labs.theirs.parent / "big", "file": labs.theirs / "mouse" / "big"}
    with places[column].open("wb") as file:
        file.truncate(BIG // 3)
    labs.source.insert(table, {"shot": 7}, image=1, **{column: {"note": str(places["note"]), "file": "mouse/big"}[column]})
    labs.connection._config.stores["kept"] = store
    shot, there = labs.linked(), len(_parts(bucket))
    shot.pull("shot > 99")
    process = puller(labs)
    while len(_parts(bucket)) == there:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert shot.pull("shot > 99").recovered == 1
    return shot


@one
@pytest.mark.parametrize("column", ["note", "file"])
def test_the_parts_of_an_upload_that_was_killed_are_removed(labs, monkeypatch, column):  # noqa: F811
    """Killed between two parts: a bucket would keep them unseen for ever. A later pull removes them, and nobody else's."""
    server = buckets.get()
    bucket = server.bucket()
    own = server.fs.open(f"{bucket}/own", "wb", block_size=5 * 2**20, autocommit=False)
    own.write(bytes(6 * 2**20))
    own.closed = True  # never to be finished here
    shot = _killed_upload(labs, bucket, server.store(bucket), column)
    assert len(_parts(bucket)) == 2  # by the clock it could still be somebody's
    assert labs.gc(dry_run=False)["deleted"] == 0
    labs.forget_flights()
    assert shot.pull("shot > 99").pulled == 0
    assert len(_parts(bucket)) == 2
    monkeypatch.setattr(flight, "GRACE", 0)
    assert shot.pull("shot > 99").pulled == 0
    assert _parts(bucket) == ["own"]
    assert labs.lab_l.count("link_objects_in_flight") == 0
    assert shot.pull().pulled == 1


class Forbidding(Proxy):
    """Forbids to look for parts of uploads."""

    asked = 0

    def answer(self, data):
        head = data.split(b"\r\n", 1)[0]
        if not head.startswith(b"GET") or b"uploads" not in head:
            return None
        self.asked += 1
        return refused("403 Forbidden", "AccessDenied")


@one
def test_parts_that_may_not_be_removed_are_left_to_a_rule_of_the_bucket(labs, monkeypatch):  # noqa: F811
    """Without the right to list uploads pulls go on, and nothing is asked for ever."""
    server = buckets.get()
    bucket = server.bucket()
    with Forbidding(server.port) as proxy:
        shot = _killed_upload(labs, bucket, {**server.store(bucket), "endpoint": f"127.0.0.1:{proxy.port}"})
        labs.forget_flights()
        monkeypatch.setattr(flight, "GRACE", 0)
        assert shot.pull().pulled == 1
        assert (proxy.asked, len(_parts(bucket))) == (1, 1)
        shot.pull()
        assert (proxy.asked, labs.lab_l.count("link_objects_in_flight")) == (1, 0)


@one
def test_a_disk_without_room_undoes_the_chunk(labs):  # noqa: F811
    """What the operating system says is said, with store and folder; no half of an object stays, and the next pull is whole."""
    table = fill(labs)
    labs.source.insert(table, {"shot": 7}, image=os.urandom(200_000))
    shot = labs.linked()
    shot.pull("shot < 2")
    whole = set(files(labs.ours))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(errors.StoreNotAccessible, match="File too large") as caught:
            shot.pull()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.store, caught.value.side, caught.value.action) == ("kept", "local", "written")
    assert (len(shot()), labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema)) == (2, 2)
    assert all((labs.ours / path).stat().st_size < 200_000 for path in files(labs.ours))
    assert whole <= set(files(labs.ours))
    assert shot.pull().pulled == 3
    assert (shot & "shot = 7").fetch1("image") is not None


@one
def test_objects_and_their_names_are_on_disk_before_the_commit(labs, monkeypatch):  # noqa: F811
    """Every object, one that was there already too, and every folder above it with its entry, was synced before the commit."""
    fill(labs)
    shot = labs.linked()
    shot.pull("shot = 0")
    plain, moved, seen = os.fsync, moving.Mover.move, {}
    found: list[str] = []

    def sync(number):
        plain(number)
        seen[os.fstat(number).st_ino] = (
            {entry.name for entry in os.scandir(number)} if stat.S_ISDIR(os.fstat(number).st_mode) else None
        )

    def unsynced(mover, moves):
        left_out = moved(mover, moves)
        for path in [labs.ours / move.goal for move in moves]:
            above = [place for place in path.parents if place.is_relative_to(labs.ours)]
            assert (len(above) > 2, above[-1]) == (True, labs.ours)
            chain = zip([path, *above], above, strict=False)
            found.extend(str(child) for child, parent in chain if child.name not in seen.get(parent.stat().st_ino, ()))
            found.extend([str(path)] if path.stat().st_ino not in seen else [])
            found.append("looked")
        return left_out

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(moving.Mover, "move", unsynced)
    assert shot.pull().pulled == 3
    assert found == ["looked"] * 7


@one
def test_a_disk_that_does_not_keep_what_was_written_undoes_the_chunk(labs, monkeypatch):  # noqa: F811
    """What the disk says only when asked to keep it is an error of the store, before any row is there."""
    fill(labs)
    shot = labs.linked()

    def failing(number):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(errors.StoreNotAccessible, match="'kept' of the local side cannot be written.*Input/output"):
            shot.pull()
    assert (files(labs.ours), len(shot())) == ([], 0)
    assert shot.pull().pulled == 4


class Refusing(Proxy):
    """Lets so many writes pass, and refuses everything after them."""

    writes = 10**9

    def answer(self, data):
        self.writes -= data.startswith(b"PUT")
        if self.writes >= 0:
            return None
        return refused("403 Forbidden", "AccessDenied")


@one
def test_a_bucket_that_refuses_in_the_middle_undoes_the_chunk(labs):  # noqa: F811
    """In the middle of a chunk the server refuses: no row, nothing registered, and the next pull is whole."""
    fill(labs)
    server = buckets.get()
    bucket = server.bucket()
    with Refusing(server.port) as proxy:
        store = {**server.store(bucket), "endpoint": f"127.0.0.1:{proxy.port}"}
        labs.connection._config.stores["kept"] = store
        shot = labs.linked()
        shot.pull("shot > 99")
        proxy.writes = 4
        with pytest.raises(errors.StoreNotAccessible, match=bucket) as caught:
            shot.pull()
        assert (caught.value.side, caught.value.action) == ("local", "written")
        assert (len(shot()), labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema)) == (0, 0)
        assert len(server.fs.find(bucket)) < 8  # how many have arrived by then is chance: they go in parallel
        server.fs.invalidate_cache()
        proxy.writes = 10**9
        assert shot.pull().pulled == 4
        assert len(server.fs.find(bucket)) == 8
        assert len(shot.proj("image").to_dicts()) == 4


@one
def test_a_source_that_ends_in_the_middle_of_an_object_is_noticed(labs, monkeypatch):  # noqa: F811
    """A line to the source's store that goes down between two blocks leaves no half of an object and names the store."""
    fill(labs)
    plain = places.FolderPlace.blocks

    def ending(place, path):
        yield next(plain(place, path))[:10]
        raise ConnectionResetError("the line is down")

    shot = labs.linked()
    with monkeypatch.context() as patched:
        patched.setattr(places.FolderPlace, "blocks", ending)
        with pytest.raises(errors.StoreNotAccessible, match="'raw' of the source side cannot be read.*line is down"):
            shot.pull()
    assert (files(labs.ours), len(shot())) == ([], 0)
    assert shot.pull().pulled == 4
