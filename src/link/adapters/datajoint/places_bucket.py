"""Places that are buckets of an object store."""

from __future__ import annotations

from contextlib import suppress
from errno import EINVAL
from typing import TYPE_CHECKING, Any

from attrs import define, field

from link.adapters.datajoint.places import TRIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from datajoint.storage import StorageBackend

    from link.adapters.datajoint.places import Place, Written

PART = 16 * 2**20
"""Bytes of a large object that are read or sent to an object store at a time; up to two of them are held."""
CHEAP = 2**20
"""An object of so many bytes is sent to an object store as quickly as asked for there."""


class _Whole:
    """An object that its store has for good."""

    def finish(self) -> None:
        """There is nothing to do."""

    def drop(self) -> None:
        """There is nothing to do."""


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

    def look(self) -> bool:
        self.fs.info(self._full("").split("/", 1)[0], refresh=True)
        return True

    def asks_for(self, size: int | None) -> bool:
        return size is None or size > CHEAP

    def size(self, path: str) -> int | None:
        try:
            found = self.fs.info(self._full(path), refresh=True)
        except FileNotFoundError:
            return None
        return int(found["size"]) if found["type"] == "file" else None

    def is_taken(self, path: str) -> bool:
        return False

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

    def write(self, path: str, blocks: Iterable[bytes], beside: str) -> Written:
        """Make the object; one that is not whole yet is nowhere: object stores show it when it is."""
        self._write(path, blocks)
        return _Whole()

    def _write(self, path: str, blocks: Iterable[bytes]) -> None:
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
        except OSError:
            return False  # more than 5 GB, another checksum, or too much for the server just now
        return True

    def make_folder(self, path: str) -> None:
        """There is nothing to do: an object store has no folders."""

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

    def try_out(self, path: str) -> None:
        self.fs.pipe_file(self._full(path), TRIAL)
        with suppress(FileNotFoundError):  # somebody else's trial has ended
            self.fs.rm_file(self._full(path))
