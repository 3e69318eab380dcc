"""Stores in buckets of an S3 server, on either side."""

from __future__ import annotations

import buckets
import numpy as np
import pytest
from proxy import Proxy, refused
from servers import Product
from stored import StoredLab, collect, names_in
from test_objects import Both, fill, folder_store, one

from link import errors
from link.adapters.datajoint import places_bucket

MIXED = [(Product.MYSQL, Product.POSTGRESQL), (Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL)]
SIDES = ["bucket to folder", "folder to bucket", "bucket to bucket"]


@pytest.fixture(params=SIDES)
def sides(request):
    return request.param


@pytest.fixture
def labs(lab_s, lab_l, connect, link, tmp_path, sides):
    """Two labs whose stores have the same name, in different buckets or a folder."""
    server = buckets.get()
    theirs, ours = sides.split(" to ")
    specs = [
        server.store(server.bucket(), location=side) if kind == "bucket" else folder_store(tmp_path / side)
        for kind, side in ((theirs, "theirs"), (ours, "ours"))
    ]
    source, local = connect(lab_s, lab_s.owner), connect(lab_l, lab_l.user)
    source._config.stores.update(raw=specs[0], default="raw")
    local._config.stores["raw"] = specs[1]
    local._config["download_path"] = str(tmp_path / "downloads")
    (tmp_path / "theirs").mkdir(exist_ok=True)
    options = {"stores": {"raw": "raw"}, "source_stores": {"raw": specs[0]}}
    return Both(lab_s, lab_l, StoredLab(lab_s, source), local, tmp_path / "theirs", tmp_path / "ours", link, options)


def empty(labs):
    """Remove everything from the source's store."""
    spec = labs.source.config.stores["raw"]
    if spec["protocol"] == "s3":
        buckets.get().fs.rm(spec["bucket"] + "/" + spec["location"], recursive=True)
    else:
        for path in labs.theirs.rglob("*"):
            path.unlink() if path.is_file() else None


@pytest.mark.parametrize("pair", MIXED[:1], ids=str)
def test_two_stores_of_one_name(labs, sides):
    """Values read locally from the local place after the source's is emptied; collections leave them alone."""
    fill(labs)
    shot = labs.linked()
    assert shot.pull().pulled == 4
    assert collect(labs.lab_l.local_schema, labs.connection, "raw", dry_run=False)["deleted"] == 0
    empty(labs)
    assert all((row["image"] == np.arange(100) + row["shot"]).all() for row in shot.proj("image").to_dicts())
    assert {row["trace"] for row in shot.Cell().proj("trace").to_dicts()} == {bytes([cell]) * 1000 for cell in range(2)}
    shot.delete()
    labs.forget_flights()
    shot.pull("shot > 99")
    assert collect(labs.lab_l.local_schema, labs.connection, "raw", dry_run=False)["deleted"] == 8


FOLDERS = """
shot : int32
---
many=null : <object@raw>
array=null : <npy@raw>
big=null : <hash@raw>
nothing=null : <hash@raw>
"""


@one
def test_folders_arrays_large_and_empty_objects(labs, monkeypatch):
    """A folder, an array, an object of several parts and one without a byte arrive; nothing is left behind by halves."""
    monkeypatch.setattr(places_bucket, "PART", 5 * 2**20)
    table = labs.source.declare(FOLDERS, "")
    folder = labs.theirs.parent / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("first")
    (folder / "deep" / "b.txt").write_text("second")
    big = np.random.default_rng(1).bytes(12 * 2**20 + 5)
    labs.source.insert(table, {"shot": 1}, many=str(folder), array=np.arange(5), big=big, nothing=b"")
    shot = labs.linked()
    assert shot.pull().pulled == 1
    empty(labs)
    row = shot.fetch1()
    assert (row["big"] == big, row["nothing"]) == (True, b"")
    assert (row["array"].load() == np.arange(5)).all()
    assert {row["many"].open(name).read() for name in ("a.txt", "deep/b.txt")} == {b"first", b"second"}


@one
@pytest.mark.parametrize("sides", ["bucket to bucket"], indirect=True)
def test_one_server_copies_by_itself(labs, monkeypatch):
    """Where both stores are on one server no object passes through this machine, and a wrong one is noticed all the same."""
    fill(labs)

    def read(*_):
        raise AssertionError("read here")

    shot = labs.linked()
    with monkeypatch.context() as patched:
        patched.setattr(places_bucket.BucketPlace, "blocks", read)
        assert shot.pull("shot > 0").pulled == 3
    spec, path = labs.source.config.stores["raw"], names_in(labs.lab_s, "shot", ["image"])[0][0]["path"]
    full = f"{spec['bucket']}/{spec['location']}/{path}"
    found = buckets.get().fs.cat_file(full)
    buckets.get().fs.pipe_file(full, found[:-1] + b"x")
    (fault,) = shot.pull().objects_missing
    assert (type(fault), len(shot())) == (errors.ObjectDamaged, 3)
    ours, name = labs.connection._config.stores["raw"], path.rpartition("/")[2]
    assert not buckets.get().fs.exists(f"{ours['bucket']}/{ours['location']}/_hash/{labs.lab_l.local_schema}/{name}")
    buckets.get().fs.rm(full)
    (fault,) = shot.pull().objects_missing
    assert (type(fault), len(shot())) == (errors.ObjectMissing, 3)


class Uncopying(Proxy):
    """A server that cannot copy objects by itself."""

    asked = 0

    def answer(self, data):
        if b"x-amz-copy-source" not in data.lower():
            return None
        self.asked += 1
        return refused("501 Not Implemented", "NotImplemented")


@one
@pytest.mark.parametrize("sides", ["bucket to bucket"], indirect=True)
def test_what_a_server_cannot_copy_by_itself_is_read(labs):
    """The server is asked first; what it refuses arrives all the same, verified here."""
    fill(labs)
    with Uncopying(buckets.get().port) as proxy:
        for config in (labs.source.config, labs.connection._config):
            config.stores["raw"]["endpoint"] = f"127.0.0.1:{proxy.port}"
        shot = labs.linked()
        assert shot.pull().pulled == 4
        assert proxy.asked >= 8
        empty(labs)
        assert all((row["image"] == np.arange(100) + row["shot"]).all() for row in shot.proj("image").to_dicts())


@one
@pytest.mark.parametrize("sides", ["bucket to bucket"], indirect=True)
def test_a_bucket_that_is_not_there_is_named(labs):
    """A bucket that does not exist is an error that names store and place before anything is registered."""
    fill(labs)
    for side in ("source", "local"):
        theirs = buckets.get().store("no-such-bucket")
        options = {"source_stores": {"raw": theirs}} if side == "source" else {}
        if side == "local":
            labs.connection._config.stores["raw"] = theirs
        with pytest.raises(errors.StoreNotAccessible, match="no-such-bucket") as caught:
            labs.linked(**options).pull()
        assert caught.value.side == side
        assert "secret" not in str(caught.value)
