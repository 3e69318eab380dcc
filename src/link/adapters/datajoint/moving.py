"""Moves the bytes of objects from store to store: in parallel, in blocks, compared with what is recorded of them."""

from __future__ import annotations

import hashlib
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from errno import EEXIST, EISDIR, ELOOP, ENAMETOOLONG, ENOTDIR
from functools import partial
from itertools import chain
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from link.adapters.datajoint.model import Addressing
from link.adapters.datajoint.objects import MANIFEST, UNFINISHED
from link.domain.errors import LinkError, NotShared, ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from link.adapters.datajoint.objects import Move
    from link.adapters.datajoint.places import Written
    from link.adapters.datajoint.stores import Store

BEAT = 20.0
"""Seconds between two signs of life while objects are on their way."""
OPEN = 64
"""Files that are open until they are brought to the disk with others, those of all workers."""
LARGE = 2**24
"""Bytes with which a batch of them is large enough."""
_ARRAY = b"\x93NUMPY"
_NO_SUCH_FILE = {EISDIR, ENOTDIR, ENAMETOOLONG, ELOOP}
"""What a file system says where something else is in the place of a file, besides that there is none."""
_TAKEN = {EISDIR, ENOTDIR, EEXIST}
"""What a file system says where a folder is in the place of a file to be written, or a file in that of a folder above it."""


class Stopped(Exception):
    """Another object has failed, so this one need not arrive."""


@define(kw_only=True)
class Mover:
    """Copies the objects of one chunk after the other."""

    schema: str
    """The local schema."""
    beat: Callable[[], None]
    """Is called every `BEAT` seconds while objects are on their way, by the thread that called `move`."""
    told: Callable[[int], None]
    """Hears of bytes that have arrived or are there, from any thread, one at a time."""
    arrived: set[tuple[object, ...]] = field(factory=set)
    """The identities of files that have been copied, by an earlier try too; those are not copied again."""
    _stop: Event = field(factory=Event, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _faults: list[tuple[Move, ObjectMissing]] = field(factory=list, init=False)

    def move(self, moves: Sequence[Move]) -> Sequence[tuple[Move, ObjectMissing]]:
        """Copy all of them, for good, but for those that are returned: missing, damaged, or with another file in their place.

        Any other error stops the rest and is raised; what has arrived stays.
        """
        workers = max((place.workers for move in moves for place in (move.source.place, move.local.place)), default=1)
        with ThreadPoolExecutor(workers, thread_name_prefix="link-objects") as pool:
            try:
                referred = [pool.submit(self._guarded, _look, move) for move in moves if move.stays]
                folders = [pool.submit(self._guarded, unfolded, move) for move in moves if move.folder and not move.stays]
                self._finish([*referred, *folders])
                files = [move for move in moves if not move.folder and not move.stays]
                files += [move for future in folders for move in future.result() or ()]
                self._finish([pool.submit(self._copy_all, batch) for batch in _batches(files, workers)])
                if not self._faults:  # else nobody will name what has arrived
                    self._secure(pool, moves, files)
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        self._check_mounted()
        return self._faults

    def _check_mounted(self) -> None:
        """Raise where a source store has nothing at all: its disk is not mounted, and no object is known to be missing."""
        for store in {move.source.name: move.source for move, error in self._faults if type(error) is ObjectMissing}.values():
            if not store.look():
                raise store.not_mounted()

    def _secure(self, pool: ThreadPoolExecutor, moves: Sequence[Move], files: Sequence[Move]) -> None:
        for move in moves:
            if move.folder and move.items == 0 and not move.stays:
                self._guarded(_make_folder, move)
        above = _folders(files).items()
        self._finish([pool.submit(self._guarded, partial(_secure, place), move) for (_, place), move in above])

    def _finish(self, futures: Sequence[Future[Any]]) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, BEAT, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if pending:
                self.beat()

    def _guarded(self, act: Callable[[Move], Any], move: Move) -> Any:
        if self._stop.is_set():
            raise Stopped
        try:
            return guarded(act, move)
        except NotShared:
            raise
        except ObjectMissing as error:
            with self._lock:
                self._faults.append((move, error))
            return None

    def _copy_all(self, moves: Sequence[Move]) -> None:
        """Copy some files, and bring them to the disk together: the first sync of several writes what the others need too."""
        with ExitStack() as stack:
            begun = []
            for move in moves:
                written = self._guarded(self._copy, move)
                if written is not None:
                    stack.callback(written.drop)
                    begun.append((move, written))
            for move, written in begun:
                self._guarded(partial(self._finished, written), move)

    def _finished(self, written: Written, move: Move) -> None:
        written.finish()
        self.arrived.add(move.identity)

    def _copy(self, move: Move) -> Written | None:
        """Copy a file, which needs to be finished; None where it is there already."""
        if move.identity in self.arrived and move.local.place.size(move.goal) is not None:
            return None
        there = move.addressing is not Addressing.SCHEMA and self._is_there(move)
        if there:
            move.local.place.secure(move.goal)
        if there or self._copied_by_server(move):
            self._tell(move.size or 0)
            self.arrived.add(move.identity)
            return None
        return move.local.place.write(move.goal, self._blocks(move), unfinished(move.local, self.schema))

    def _tell(self, size: int) -> None:
        with self._lock:
            self.told(size)

    def _copied_by_server(self, move: Move) -> bool:
        """Whether one server had both stores and has made a verified copy; any doubt is settled by reading."""
        size = move.size
        if move.prefix or (size is None and move.array is None):
            return False
        try:
            copied = move.local.place.copy(move.source.place, move.path, move.goal, move.digest)
        except FileNotFoundError:
            raise move.missing() from None
        if not copied or move.digest is not None:
            return copied
        if size is None:
            size = (move.array or 0) + _header(next(iter(move.local.place.blocks(move.goal)), b""))
        return move.local.place.size(move.goal) == size

    def _is_there(self, move: Move) -> bool:
        """Whether the local store has the object already: with its content, for what is damaged there is copied again.

        At a path of the user's choice another content is in the way.
        """
        if move.addressing is Addressing.HASH and not move.local.place.asks_for(move.size):
            return False
        there = move.local.place.size(move.goal)
        if move.addressing is Addressing.HASH:
            return there is not None and there == move.size and _digest(move.local, move.goal) == move.digest
        if there is None:
            if move.local.place.is_taken(move.goal):
                raise move.in_the_way()
            return False
        digest = hashlib.md5(usedforsecurity=False)
        for block in verified(move):
            digest.update(block)
        if digest.hexdigest() != _digest(move.local, move.goal):
            raise move.in_the_way()
        return True

    def _blocks(self, move: Move) -> Iterator[bytes]:
        for block in verified(move):
            if self._stop.is_set():
                raise Stopped
            self._tell(len(block))
            yield block


def _batches(moves: Sequence[Move], workers: int) -> Iterator[Sequence[Move]]:
    """Yield files in batches that leave several for each worker; a large one, or one of unknown size, ends its own."""
    batch: list[Move] = []
    most, size = min(max(len(moves) // workers // 4, 1), OPEN // workers), 0
    for move in moves:
        batch.append(move)
        size += LARGE if move.size is None and move.array is None else move.size or move.array or 0
        if len(batch) == most or size >= LARGE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _folders(moves: Iterable[Move]) -> dict[tuple[str, str], Move]:
    """Return all folders above the goals up to the stores themselves, each with one of the moves, by store and path."""
    found: dict[tuple[str, str], Move] = {}
    for move in moves:
        folder = move.goal
        while folder:
            folder = folder.rpartition("/")[0]
            if found.setdefault((move.local.name, folder), move) is not move:
                break  # those above are known too
    return found


def _make_folder(move: Move) -> None:
    move.local.place.make_folder(move.goal)


def _secure(folder: str, move: Move) -> None:
    move.local.place.secure(folder)


def guarded(act: Callable[[Move], Any], move: Move) -> Any:
    """Do one thing to an object, and turn what the stores' clients raise into one of Link's errors."""
    try:
        return act(move)
    except (LinkError, Stopped):
        raise
    except _Read as error:
        if isinstance(error.cause, FileNotFoundError) or getattr(error.cause, "errno", None) in _NO_SUCH_FILE:
            raise move.missing() from None
        raise move.source.failed("read", error.cause) from None
    except Exception as error:  # noqa: BLE001 - clients raise what they like
        if isinstance(error, OSError) and error.errno in _TAKEN and move.local.place.is_taken(move.goal):
            raise move.in_the_way() from None
        raise move.local.failed("written", error) from None


def unfolded(move: Move) -> list[Move]:
    """Return the files of a folder, with the manifest that DataJoint puts beside it."""
    with _reading():
        try:
            sizes = move.source.place.files(move.path)
        except FileNotFoundError:
            if move.items != 0:
                raise
            sizes = {}  # garbage collections take empty folders away
        manifest = move.source.place.size(move.path + MANIFEST)
    if move.items is not None and len(sizes) != move.items:
        raise move.missing() if not sizes else move.damaged(_files(move.items), _files(len(sizes)))
    if move.size is not None and sum(sizes.values()) != move.size:
        raise move.damaged(f"{move.size} bytes", f"{sum(sizes.values())} bytes")
    files = {f"/{name}": size for name, size in sizes.items()}
    if manifest is not None:
        files[MANIFEST] = manifest
    return [
        evolve(move, path=move.path + name, goal=move.goal + name, folder=False, size=size, items=None)
        for name, size in files.items()
    ]


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def verified(move: Move) -> Iterator[bytes]:
    """Yield the blocks of the object at its source; `ObjectDamaged` at their end if they are not what is recorded."""
    digest, size, head, known = hashlib.md5(usedforsecurity=False), 0, b"", move.digest
    for block in chain([move.prefix] if move.prefix else [], _read(move.source, move.path)):
        head = head or block[:16]
        size += len(block)
        if known is not None:
            digest.update(block)
        yield block
    if move.is_array and not head.startswith(_ARRAY):
        raise move.damaged("an array in NumPy's format", f"{size} other bytes")
    expected = move.size
    if expected is None and move.array is not None and head.startswith(_ARRAY):
        expected = move.array + _header(head)
    if expected is not None and size != expected:
        raise move.damaged(f"{expected} bytes", f"{size} bytes")
    if known is not None and digest.hexdigest() != known:
        raise move.damaged(f"MD5 {known}", f"MD5 {digest.hexdigest()}")


class _Read(Exception):
    """Reading at the source failed."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _reading:  # noqa: N801 - a context manager
    """Marks what fails in the block as a failure of the source."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (LinkError, Stopped)):
            raise _Read(error) from None


def _read(store: Store, path: str) -> Iterator[bytes]:
    blocks: Iterable[bytes] = store.place.blocks(path)
    source = iter(blocks)
    while True:
        with _reading():
            block = next(source, None)
        if block is None:
            return
        yield block


def _digest(store: Store, path: str) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for block in store.place.blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _header(head: bytes) -> int:
    """Return the length of the header of a file in NumPy's format."""
    width = 2 if head[6] == 1 else 4
    return 8 + width + int.from_bytes(head[8 : 8 + width], "little")


def _look(move: Move) -> None:
    """See that the local store has an object that stays where it is, as the source's own has it."""
    if move.folder and move.items == 0:
        return  # garbage collections take empty folders away
    there = _weight(move.local, move.goal, move)
    if there is None or (move.size is not None and there != move.size):
        with _reading():
            recorded_wrongly = there == _weight(move.source, move.path, move)
        if recorded_wrongly:
            raise move.missing() if there is None else move.damaged(f"{move.size} bytes", f"{there} bytes")
        raise NotShared(
            table=move.table,
            column=move.column,
            store=move.local.name,
            path=move.goal,
            source_store=move.source.name,
            key=move.key,
        )


def _weight(store: Store, path: str, move: Move) -> int | None:
    """Return the bytes of a file, or of all files of a folder; None where nothing is there."""
    if not move.folder:
        return store.place.size(path)
    try:
        return sum(store.place.files(path).values())
    except FileNotFoundError:
        return None


def unfinished(store: Store, schema: str) -> str:
    """Return the folder of the files of a store that are not whole yet."""
    return "/".join(filter(None, (store.schema_section, schema, UNFINISHED)))
