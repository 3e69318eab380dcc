"""Stores in folders, where the operating system does what it may but seldom does."""

from __future__ import annotations

import errno
import os

import pytest

from link.adapters.datajoint import places
from link.adapters.datajoint.places import FolderPlace


@pytest.fixture
def place(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(250)))
    return FolderPlace(root=tmp_path)


def test_less_than_was_asked_for_is_no_end(place, monkeypatch):
    """A system may read less at a time, and says what went wrong in the middle at the next call only."""
    plain, calls = os.read, []

    def short(number, most):
        calls.append(most)
        return plain(number, min(most, 100))

    monkeypatch.setattr(os, "read", short)
    assert b"".join(place.blocks("a")) == bytes(range(250))

    def broken(number, most):
        if len(calls) > 1:
            raise OSError(errno.EIO, "Input/output error")
        return short(number, most)

    calls.clear()
    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(OSError, match="Input/output"):
        list(place.blocks("a"))


def test_a_file_that_grows_meanwhile_is_read_in_blocks(place):
    """What comes after the size that it had is no trickle of single bytes."""
    blocks = place.blocks("a")
    first = next(blocks)
    with (place.root / "a").open("ab") as file:
        file.write(bytes(3 * places.BLOCK))
    rest = [len(block) for block in blocks]
    assert (len(first), len(rest) <= 4) == (250, True)


def test_what_cannot_be_removed_hides_no_error(place, monkeypatch):
    """A file system that has become read-only: what is raised is what its disk said."""
    written = place.write("b", [b"1"], "beside")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    monkeypatch.setattr(type(place.root), "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    with pytest.raises(OSError, match="Input/output"):
        written.finish()
    written.drop()
