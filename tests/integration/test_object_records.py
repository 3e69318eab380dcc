"""Records of objects that contradict each other, the store or themselves: each is held against its own row alone."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from stored import folder_store, names_in
from test_objects import MIXED, labs, one  # noqa: F401

from link import errors
from link.adapters.datajoint import moving, places
from link.infrastructure import progress

FILES = (
    "shot : int32\n---\nfile=null : <filepath@raw>\nvalue=null : <hash@raw>\narray=null : <npy@raw>\nmany=null : <object@raw>"
)


def files(labs, *contents):  # noqa: F811
    """Register a file for each content, by path, in rows from 0 on."""
    table = labs.source.declare(FILES, "")
    for shot, (path, content) in enumerate(contents):
        place = labs.theirs / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        labs.source.insert(table, {"shot": shot}, file=path)
    return table


def record(labs, shot, column, **facts):  # noqa: F811
    """Change what a row records of its object."""
    [old] = [row[1] for row in names_in(labs.lab_s, "shot", ["shot", column]) if row[0] == shot]
    new = json.dumps({**old, **facts})
    labs.lab_s.server.admin_query(f"UPDATE {labs.lab_s.table('shot')} SET {column} = %s WHERE shot = {shot}", (new,))


def left_out(result):
    return {(int(fault.key["shot"]), type(fault)) for fault in result.objects_missing}


@one
def test_two_files_of_one_local_path_are_not_merged(labs):  # noqa: F811
    """Under a prefix `x` and `p/x` would be one: the second is in the first one's way, and never read as it."""
    files(labs, ("x", b"1" * 8), ("p/x", b"2" * 8))
    labs.connection._config.stores["kept"] = folder_store(labs.ours, filepath_prefix="p")
    shot = labs.linked()
    done = shot.pull()
    assert (done.pulled, left_out(done)) == (1, {(1, errors.ObjectInTheWay)})
    assert (shot.fetch1("file").read(), shot.verify(deep=True).healthy) == (b"1" * 8, True)


@one
def test_what_is_missing_at_the_source_is_not_called_in_the_way(labs):  # noqa: F811
    """A local file of an earlier pull may be the last copy there is: nobody is told to remove it."""
    files(labs, ("d/f.bin", b"measured"), ("d/g.bin", b"measured"))
    shot = labs.linked()
    shot.pull()
    shot.delete()
    (labs.theirs / "d" / "f.bin").unlink()
    for folder in (labs.theirs, labs.ours):
        (folder / "d" / "g.bin").write_bytes(b"mea")
    assert left_out(shot.pull()) == {(0, errors.ObjectMissing), (1, errors.ObjectDamaged)}
    assert (labs.ours / "d" / "f.bin").read_bytes() == b"measured"


@one
@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("column", ["file", "value"])
def test_each_row_is_held_against_its_own_record(labs, column, wrong):  # noqa: F811
    """Two rows name one object; the one that records another size is left out, whichever comes first."""
    table = files(labs, ("a", b"measured"))
    labs.source.insert(table, {"shot": 1}, file="a")
    if column == "value":
        table = labs.lab_s.table("shot")
        labs.lab_s.server.admin_query(f"DELETE FROM {table}")
        for shot in (0, 1):
            labs.source.insert(labs.source.declare(FILES, ""), {"shot": shot}, value=b"content")
    record(labs, wrong, column, size=99)
    shot = labs.linked()
    done = shot.pull()
    assert (done.pulled, left_out(done)) == (1, {(wrong, errors.ObjectDamaged)})
    assert left_out(shot.pull()) == {(wrong, errors.ObjectDamaged)}
    assert shot.verify(deep=True).healthy


@one
def test_things_of_another_kind_are_left_out_too(labs):  # noqa: F811
    """Folders for files, files for folders, and what the user has in a path's place: named, and nothing is written over."""
    files(labs, ("a", b"a"), ("b/b", b"b"), ("c", b"c"), ("d/d", b"d"), ("e", b"e"), ("ok", b"ok"))
    (labs.theirs / "a").unlink()
    (labs.theirs / "a").mkdir()
    (labs.theirs / "b" / "b").unlink()
    (labs.theirs / "b").rmdir()
    (labs.theirs / "b").write_bytes(b"")
    (labs.ours / "c").mkdir()
    (labs.ours / "d").write_bytes(b"mine")
    (labs.ours / "e").symlink_to("annex/nowhere")
    done = labs.linked().pull()
    there = {(shot, errors.ObjectMissing) for shot in (0, 1)} | {(shot, errors.ObjectInTheWay) for shot in (2, 3, 4)}
    assert (done.pulled, left_out(done)) == (1, there)
    assert ((labs.ours / "d").read_bytes(), (labs.ours / "e").readlink().name) == (b"mine", "nowhere")


@one
@pytest.mark.parametrize("facts", [{"size": "12"}, {"size": -1}, {"path": 5}, {"item_count": "x"}], ids=str)
def test_a_record_that_is_none_is_left_out(labs, facts):  # noqa: F811
    """What somebody else has written there ends no pull."""
    files(labs, ("a", b"a"), ("b", b"b"))
    record(labs, 0, "file", **facts)
    done = labs.linked().pull()
    assert (done.pulled, left_out(done)) == (1, {(0, errors.ObjectDamaged)})


@one
@pytest.mark.parametrize("shape", ["x", [-1], None], ids=str)
def test_a_shape_that_is_none_is_not_counted_with(labs, shape):  # noqa: F811
    """An array whose record has no shape comes along as a file without a recorded size does."""
    table = labs.source.declare(FILES, "")
    labs.source.insert(table, {"shot": 0}, array=np.arange(5))
    record(labs, 0, "array", shape=shape)
    assert labs.linked().pull().pulled == 1


@one
def test_nothing_is_copied_twice_because_another_entity_is_left_out(labs, monkeypatch):  # noqa: F811
    """What a chunk without the faulty entity names is what the first try has brought."""
    table = labs.source.declare(FILES, "")
    paths = [
        labs.source.insert(table, {"shot": shot}, array=np.arange(5), value=b"v%d" % shot)["array"]["path"]
        for shot in range(4)
    ]
    (labs.theirs / paths[1]).unlink()
    shot, told, written = labs.linked(), [], []
    plain = places.FolderPlace.write
    monkeypatch.setattr(places.FolderPlace, "write", lambda *args: written.append(args[1]) or plain(*args))
    monkeypatch.setattr(progress.Bar, "carry", lambda _, size: told.append(size))
    done = shot.pull()
    assert (done.pulled, left_out(done)) == (3, {(1, errors.ObjectMissing)})
    assert len(written) == len(set(written)) == 2 * 4  # the missing one was begun
    named = {row[0]["path"] for column in ("array", "value") for row in names_in(labs.lab_l, "shot", [column])}
    assert named < set(written)
    assert sum(told) == 4 * 2 + 3 * (40 + 128)  # the headers of arrays are more than what was expected of the missing one
    assert shot.verify(deep=True).healthy


@one
def test_the_bar_ends_at_its_total_where_an_entity_is_left_out(labs, monkeypatch):  # noqa: F811
    """What will not come counts as done, and what has come counts once."""
    table, told = labs.source.declare(FILES, ""), []
    paths = [labs.source.insert(table, {"shot": shot}, value=b"v%d" % shot)["value"]["path"] for shot in range(4)]
    (labs.theirs / paths[1]).unlink()
    monkeypatch.setattr(progress.Bar, "carry", lambda _, size: told.append(size))
    assert labs.linked().pull().pulled == 3
    assert sum(told) == 4 * 2


@one
def test_a_copy_that_is_gone_before_the_second_try_is_made_again(labs, monkeypatch):  # noqa: F811
    """What the first try has brought is looked for before a row names it."""
    table = labs.source.declare(FILES, "")
    paths = [labs.source.insert(table, {"shot": shot}, array=np.arange(5))["array"]["path"] for shot in range(3)]
    (labs.theirs / paths[1]).unlink()
    shot = labs.linked()
    plain = moving.Mover.move

    def emptied(mover, moves):
        left_out = plain(mover, moves)
        if left_out:
            next(labs.ours.rglob("array_*")).unlink()
        return left_out

    monkeypatch.setattr(moving.Mover, "move", emptied)
    assert shot.pull().pulled == 2
    assert shot.verify(deep=True).healthy


@one
def test_a_folder_in_the_place_of_a_content_leaves_out_its_entity(labs):  # noqa: F811
    """It cannot be a copy of anything, and Link removes nothing that it does not know."""
    table = labs.source.declare(FILES, "")
    facts = [labs.source.insert(table, {"shot": shot}, value=b"v%d" % shot)["value"] for shot in range(2)]
    shot = labs.linked()
    shot.pull()
    path = labs.ours / names_in(labs.lab_l, "shot", ["value"])[0][0]["path"]
    shot.delete()
    path.unlink()
    path.mkdir()
    done = shot.pull()
    assert (done.pulled, {type(fault) for fault in done.objects_missing}) == (1, {errors.ObjectInTheWay})
    assert path.is_dir()
    assert len(facts) == 2


@one
def test_a_folder_with_a_broken_link_is_damaged(labs):  # noqa: F811
    """One of its files is not there: that is said, not that the whole folder is missing."""
    table, folder = labs.source.declare(FILES, ""), labs.theirs.parent / "many"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(b"1234")
    facts = labs.source.insert(table, {"shot": 0}, many=str(folder))
    broken = labs.theirs / facts["many"]["path"] / "b"
    broken.unlink()
    broken.symlink_to("annex/nowhere")
    (fault,) = labs.linked().pull().objects_missing
    assert "4 bytes instead of 8 bytes" in str(fault)


@one
def test_a_row_that_names_a_store_of_its_own_that_is_not_mapped(labs):  # noqa: F811
    """The row is named, with the setting, and it is not said that nothing was changed: chunks before it stay."""
    files(labs, ("a", b"a"))
    record(labs, 0, "file", store="other")
    shot = labs.linked()
    with pytest.raises(errors.StoreNotMapped, match=r"\(shot='0'\) names that store.*earlier chunks.*'other'") as caught:
        shot.pull()
    assert "Nothing was changed" not in str(caught.value)
    assert labs.lab_s.count("shot_outbound", labs.lab_s.outbound_schema) == 0


@one
@pytest.mark.parametrize("content", [b"", b"garbage", bytes(168)], ids=["empty", "garbage", "zeros"])
def test_an_array_that_is_none_is_noticed(labs, content):  # noqa: F811
    """A file without NumPy's header is no array, however long it is; deep verification says so too."""
    table = labs.source.declare(FILES, "")
    paths = [labs.source.insert(table, {"shot": shot}, array=np.arange(5))["array"]["path"] for shot in range(2)]
    (labs.theirs / paths[0]).write_bytes(content)
    shot = labs.linked()
    done = shot.pull()
    assert (done.pulled, left_out(done)) == (1, {(0, errors.ObjectDamaged)})
    (labs.ours / names_in(labs.lab_l, "shot", ["array"])[0][0]["path"]).write_bytes(content)
    assert len(shot.verify(deep=True).faults) == 1


@one
def test_a_pipe_is_no_object(labs):  # noqa: F811
    """Reading it would last for ever."""
    files(labs, ("a", b"a"), ("b", b"b"))
    (labs.theirs / "a").unlink()
    os.mkfifo(labs.theirs / "a")
    assert left_out(labs.linked().pull()) == {(0, errors.ObjectMissing)}


@pytest.mark.parametrize(("column", "facts"), [("value", {"hash": "0" * 26}), ("file", {"path": "a\0"})], ids=["hash", "nul"])
@pytest.mark.parametrize("pair", MIXED[2:], ids=["mariadb-to-mysql"])
def test_a_name_that_is_none_is_left_out(labs, column, facts):  # noqa: F811
    """A hash in other digits than DataJoint's, a character that no file's name has."""
    files(labs, ("a", b"a"), ("b", b"b"))
    if column == "value":
        labs.source.insert(labs.source.declare(FILES, ""), {"shot": 2}, value=b"content")
    shot = 2 if column == "value" else 0
    record(labs, shot, column, **facts)
    assert left_out(labs.linked().pull()) == {(shot, errors.ObjectDamaged)}


@one
def test_by_reference_an_empty_folder_that_is_gone_is_not_missed(labs):  # noqa: F811
    """As with copies: collections and object stores keep no empty folders."""
    table, folder = labs.source.declare(FILES, ""), labs.theirs.parent / "empty"
    folder.mkdir()
    facts = labs.source.insert(table, {"shot": 0}, many=str(folder))
    (labs.theirs / facts["many"]["path"]).rmdir()
    labs.connection._config.stores["kept"] = folder_store(labs.theirs)
    assert labs.linked(objects="reference").pull().pulled == 1
