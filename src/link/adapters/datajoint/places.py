"""The places where stores keep their objects: a folder, or a bucket of an object store; bytes only, streamed in blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EBADF, EINVAL, ENOTSUP
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from datajoint.storage import StorageBackend

BLOCK = 2**20
"""Bytes read from a file at a time."""
PART = 16 * 2**20
"""Bytes of a large object that are read or sent to an object store at a time; up to two of them are held."""

CHEAP = 2**20
"""An object of so many bytes is sent to an object store as quickly as asked for there."""
TRIES = 5
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

    def look(self) -> None:
        """Raise where the place cannot be listed."""

    def asks_for(self, size: int | None) -> bool:
        """Whether it pays to ask if a file of this size is there before it is written again."""

    def size(self, path: str) -> int | None:
        """Return the bytes of the file at `path`, None where there is none."""

    def files(self, folder: str) -> Mapping[str, int]:
        """Return the bytes of every file under `folder`, by its path relative to `folder`."""

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield the file's bytes in order."""

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> None:
        """Make `path` of `blocks`, whole or not at all; a file that is not whole yet is in the folder `beside`.

        Its content outlasts a loss of power from here on, its name once the folders above it are secured.
        """

    def copy(self, source: Place, path: str, goal: str, digest: str | None) -> bool:
        """Let the store's own server make `goal` of the file at `path` of another place, whole or not at all.

        Only a file that the server itself knows to have `digest`, an MD5 in hexadecimal digits, unless that is None. Returns
        False where nothing was done: no one server has both, the file is too large for it, or its checksum is another one.
        """

    def secure(self, path: str) -> None:
        """Return once a file that was found, or the entries of a folder, would outlast a loss of power."""

    def in_parts(self, size: int | None) -> bool:
        """Whether a file of this size is sent in parts, which stay, seen by nobody, where the sender dies."""

    def drop_parts(self, path: str, before: datetime) -> bool:
        """Remove the parts of files at or under `path` that somebody began to send before a time and has not finished.

        Returns False where there are younger ones.
        """

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""


@define(kw_only=True)
class FolderPlace:
    """A folder of a file system."""

    root: Path

    @property
    def label(self) -> str:
        return str(self.root)

    @property
    def workers(self) -> int:
        return 4

    @property
    def identity(self) -> tuple[str, ...]:
        return ("file", os.path.realpath(self.root))

    def look(self) -> None:
        with os.scandir(self.root) as entries:
            next(entries, None)

    def asks_for(self, size: int | None) -> bool:
        return True

    def size(self, path: str) -> int | None:
        file = self.root / path
        return file.stat().st_size if file.is_file() else None

    def files(self, folder: str) -> Mapping[str, int]:
        top = self.root / folder
        found = {}
        for where, _, names in os.walk(top, onerror=_raise):
            for name in names:
                file = Path(where) / name
                found[file.relative_to(top).as_posix()] = file.stat().st_size
        return found

    def blocks(self, path: str) -> Iterator[bytes]:
        with (self.root / path).open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> None:
        unfinished, final = self.root / beside / uuid4().hex, self.root / path
        try:
            with _there(unfinished, lambda: unfinished.open("wb", buffering=0)) as file:
                for block in blocks:
                    _write_all(file, block)
                os.fsync(file.fileno())
            _there(final, lambda: unfinished.replace(final))
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def copy(self, source: Place, path: str, goal: str, digest: str | None) -> bool:
        return False

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

    def remove(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)


def _there(file: Path, act: Callable[[], _T]) -> _T:
    """Do something to a file, in a folder that is made where it is missing; garbage collections take empty folders away."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            return act()
        file.parent.mkdir(parents=True, exist_ok=True)
    return act()


def _write_all(file: Any, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]


def _raise(error: OSError) -> None:
    raise error


@define(kw_only=True)
class BucketPlace:
    """A bucket, or what else DataJoint reaches through fsspec."""

    backend: StorageBackend
    _fs: Any = field(init=False, default=None)

    @property
    def fs(self) -> Any:
        """The file system, which forgets what it has listed before this pull."""
        if self._fs is None:
            self._fs = self.backend.fs
            self._fs.invalidate_cache()
        return self._fs

    @property
    def label(self) -> str:
        return f"{self.backend.protocol}://{self._full('').rstrip('/')}"

    @property
    def workers(self) -> int:
        return 16

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.backend.protocol, str(self.backend.spec.get("endpoint", "")), self._full("").strip("/"))

    def _full(self, path: str) -> str:
        return str(self.backend._full_path(path))

    def look(self) -> None:
        self.fs.info(self._full("").split("/", 1)[0], refresh=True)

    def asks_for(self, size: int | None) -> bool:
        return size is None or size > CHEAP

    def size(self, path: str) -> int | None:
        try:
            found = self.fs.info(self._full(path), refresh=True)
        except FileNotFoundError:
            return None
        return int(found["size"]) if found["type"] == "file" else None

    def files(self, folder: str) -> Mapping[str, int]:
        top = self._full(folder)
        found = self.fs.find(top, detail=True)
        return {name[len(top) :].lstrip("/"): int(facts["size"]) for name, facts in found.items()}

    def blocks(self, path: str) -> Iterator[bytes]:
        full, start = self._full(path), 0
        while True:
            block = self._range(full, start)
            if block:
                yield block
            if len(block) < PART:
                return
            start += len(block)

    def _range(self, full: str, start: int) -> bytes:
        try:
            return bytes(self.fs.cat_file(full, start=start, end=start + PART))
        except OSError as error:
            if error.errno == EINVAL:
                return b""  # the object ends here, or is empty
            raise

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> None:
        """Make the object; one that is not whole yet is nowhere: object stores show it when it is."""
        source, head, known = iter(blocks), [], 0
        for block in source:
            head.append(block)
            known += len(block)
            if known > PART:
                break
        else:
            self.fs.pipe_file(self._full(path), b"".join(head))
            return
        self._write_parts(path, head, source)

    def _write_parts(self, path: str, head: list[bytes], rest: Iterable[bytes]) -> None:
        file = self.fs.open(self._full(path), "wb", block_size=PART, autocommit=False)
        try:
            while head:
                file.write(head.pop(0))
            for block in rest:
                file.write(block)
            file.close()
        except BaseException:
            file.closed = True  # else its end would send what it holds
            file.discard()
            raise
        file.commit()

    def copy(self, source: Place, path: str, goal: str, digest: str | None) -> bool:
        if not isinstance(source, BucketPlace) or source.backend.protocol != "s3" or source._server != self._server:
            return False
        bucket, _, key = self._full(goal).partition("/")
        there, _, name = source._full(path).partition("/")
        settings = {"CopySourceIfMatch": f'"{digest}"'} if digest else {}
        try:
            self.fs.call_s3("copy_object", Bucket=bucket, Key=key, CopySource={"Bucket": there, "Key": name}, **settings)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == EINVAL or "condition" in str(error).lower():  # more than 5 GB; another checksum
                return False
            raise
        return True

    def secure(self, path: str) -> None:
        """There is nothing to do: object stores answer when they have an object for good."""

    def in_parts(self, size: int | None) -> bool:
        return self.backend.protocol == "s3" and (size is None or size > PART)

    def drop_parts(self, path: str, before: datetime) -> bool:
        young = False
        bucket, _, key = self._full(path).partition("/")
        place: dict[str, Any] = {"Bucket": bucket, "Prefix": key}
        while True:
            found = self.fs.call_s3("list_multipart_uploads", **place)
            for upload in found.get("Uploads", []):
                if not f"{upload['Key']}/".startswith(f"{key}/"):
                    continue  # has a longer name
                if upload["Initiated"] >= before:
                    young = True
                    continue
                self.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            if not found.get("IsTruncated"):
                return not young
            place |= {"KeyMarker": found["NextKeyMarker"], "UploadIdMarker": found["NextUploadIdMarker"]}

    @property
    def _server(self) -> list[Any]:
        """What two stores have in common whose server copies from the one to the other."""
        return [self.backend.spec.get(name) for name in ("protocol", "endpoint", "secure", "access_key", "secret_key")]

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self._full(path))
