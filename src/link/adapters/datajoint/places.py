"""The places where stores keep their objects, and those that are folders; bytes only, streamed in blocks."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from errno import EBADF, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTSUP
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import uuid4

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime


BLOCK = 2**20
"""Bytes read from a file at a time."""

TRIAL = b"Link can write here"
TRIES = 5
_BINARY = getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
_PROCESS, _NUMBERS = uuid4().hex, count()
"""Make names, with the process's number, that no other process gives, nor this one twice."""
_BROKEN = {ENOENT, ENOTDIR, ELOOP}
"""What a file system says of a link that leads nowhere."""
_NO_SYNC = {EBADF, EINVAL, ENOTSUP}
"""What file systems say that keep the entries of folders without being asked."""

_T = TypeVar("_T")


class Place(Protocol):
    """Where one store keeps its objects; paths are relative to the store and use slashes.

    Methods raise what the operating system or the object store's client raises; `FileNotFoundError` where nothing is there.
    """

    @property
    def label(self) -> str:
        """The folder, or the bucket and prefix, for messages."""

    @property
    def workers(self) -> int:
        """How many objects at once are quickest."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What two stores have in common that are one place."""

    def look(self) -> bool:
        """Raise where the place cannot be listed; return False where it is a folder with nothing in it."""

    def asks_for(self, size: int | None) -> bool:
        """Whether it pays to ask if a file of this size is there before it is written again."""

    def size(self, path: str) -> int | None:
        """Return the bytes of the file at `path`, None where there is none."""

    def is_taken(self, path: str) -> bool:
        """Whether something else than a file, such as a broken link, is at `path`, or than a folder above it."""

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the bytes of every file under `folder`, by its path relative to `folder`."""

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield the file's bytes in order."""

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> Written:
        """Write `blocks`, which become the file at `path` when that is finished, whole or not at all.

        A file that is not finished is in the folder `beside`, or nowhere to be seen.
        """

    def copy(self, source: Place, path: str, goal: str, digest: str | None) -> bool:
        """Let the store's own server make `goal` of the file at `path` of another place, whole or not at all.

        Only a file that the server itself knows to have `digest`, an MD5 in hexadecimal digits, unless that is None. Returns
        False where nothing was done: no one server has both, the file is too large for it, or its checksum is another one.
        """

    def make_folder(self, path: str) -> None:
        """Make a folder that has no files, where a place has such."""

    def secure(self, path: str) -> None:
        """Return once a file that was found, or the entries of a folder, would outlast a loss of power."""

    def in_parts(self, size: int | None) -> bool:
        """Whether a file of this size is sent in parts, which stay, seen by nobody, where the sender dies."""

    def drop_parts(self, path: str, before: datetime) -> bool:
        """Remove the parts of files at or under `path` that somebody began to send before a time and has not finished.

        Returns False where there are younger ones.
        """

    def try_out(self, path: str) -> None:
        """Write a few bytes at `path`, which nobody names, and remove them; dying in the middle leaves no other file."""


class Written(Protocol):
    """A file whose bytes have been written."""

    def finish(self) -> None:
        """Give it its name; its content outlasts a loss of power from here on, its name once the folders above are secured."""

    def drop(self) -> None:
        """Let go of it; where it was not finished nothing stays."""


@define(kw_only=True)
class _Unfinished:
    """A file in a folder under another name, open at `number`."""

    number: int
    path: Path
    final: Path
    _is_open: bool = field(default=True, init=False)
    _is_finished: bool = field(default=False, init=False)

    def finish(self) -> None:
        os.fsync(self.number)
        self._close()
        _there(self.final, lambda: self.path.replace(self.final))
        self._is_finished = True

    def drop(self) -> None:
        with suppress(OSError):  # what matters has been said, and collections remove what is left here
            self._close()
        if not self._is_finished:
            with suppress(OSError):
                self.path.unlink()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self.number)


@define(kw_only=True)
class FolderPlace:
    """A folder of a file system."""

    root: Path

    @property
    def label(self) -> str:
        return str(self.root)

    @property
    def workers(self) -> int:
        return 8

    @property
    def identity(self) -> tuple[str, ...]:
        return ("file", os.path.realpath(self.root))

    def look(self) -> bool:
        with os.scandir(self.root) as entries:
            return next(entries, None) is not None

    def asks_for(self, size: int | None) -> bool:
        return True

    def size(self, path: str) -> int | None:
        try:
            found = (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def is_taken(self, path: str) -> bool:
        file = self.root / path
        if os.path.lexists(file):
            return True
        nearest = next((folder for folder in file.parents if folder == self.root or os.path.lexists(folder)), self.root)
        return not nearest.is_dir()

    def files(self, folder: str) -> Mapping[str, int]:
        top = self.root / folder
        found = {}
        for where, _, names in os.walk(top, onerror=_raise):
            for name in names:
                file = Path(where) / name
                found[file.relative_to(top).as_posix()] = _bytes(file)
        return found

    def blocks(self, path: str) -> Iterator[bytes]:
        file = self.root / path
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path)  # or a pipe, which would be read for ever
        number, left = os.open(file, os.O_RDONLY | _BINARY), found.st_size
        try:
            asked = min(BLOCK, left + 1)  # what is asked for is allocated, be it there or not
            while block := os.read(number, asked):
                yield block
                left -= len(block)
                if left <= 0 and len(block) < asked:
                    return  # less than that, in the middle, is no end: what is wrong there is said at the next call
                asked = min(BLOCK, left + 1) if left > 0 else BLOCK
        finally:
            os.close(number)

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> Written:
        unfinished = self.root / beside / f"{_PROCESS}_{os.getpid()}_{next(_NUMBERS)}"
        number = _there(unfinished, lambda: os.open(unfinished, _WRITE, 0o666))
        written = _Unfinished(number=number, path=unfinished, final=self.root / path)
        try:
            for block in blocks:
                _write_all(number, block)
            with suppress(OSError, AttributeError):  # begins to bring it to the disk, where there is such a call
                os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        except BaseException:
            written.drop()
            raise
        return written

    def copy(self, source: Place, path: str, goal: str, digest: str | None) -> bool:
        return False

    def make_folder(self, path: str) -> None:
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def secure(self, path: str) -> None:
        if os.name == "nt":
            return  # has no such call for what is open for reading
        number = os.open(self.root / path, os.O_RDONLY)
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in _NO_SYNC or not (self.root / path).is_dir():
                raise
        finally:
            os.close(number)

    def in_parts(self, size: int | None) -> bool:
        return False

    def drop_parts(self, path: str, before: datetime) -> bool:
        """There are none: a file that is not whole is in a folder that garbage collections see."""
        return True

    def try_out(self, path: str) -> None:
        trial = self.root / path
        try:
            with _there(trial, lambda: trial.open("wb", buffering=0)) as file:
                _write_all(file.fileno(), TRIAL)
                os.fsync(file.fileno())
        finally:
            trial.unlink(missing_ok=True)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        if error.errno in _BROKEN:
            return 0
        raise


def _there(file: Path, act: Callable[[], _T]) -> _T:
    """Do something to a file, in a folder that is made where it is missing; garbage collections take empty folders away."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            return act()
        file.parent.mkdir(parents=True, exist_ok=True)
    return act()


def _write_all(number: int, block: bytes) -> None:
    written = os.write(number, block)
    while written < len(block):
        written += os.write(number, memoryview(block)[written:])


def _raise(error: OSError) -> None:
    raise error
