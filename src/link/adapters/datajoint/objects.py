"""What rows say of their objects, where the copies go, and how the rows read then; no byte is moved here."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, evolve, field, frozen
from datajoint.errors import DataJointError
from datajoint.hash_registry import build_hash_path
from datajoint.storage import generate_token

from link.adapters.datajoint import legacy_objects, stored_codecs
from link.adapters.datajoint.exactness import canonical
from link.adapters.datajoint.model import Addressing
from link.adapters.datajoint.rows import reader
from link.adapters.datajoint.stores import Mode
from link.domain.errors import ObjectDamaged, ObjectInTheWay, ObjectMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.stores import Mapped, Store, StoreMap
    from link.use_cases.ports import Chunk

MANIFEST = ".manifest.json"
"""What DataJoint puts beside a folder."""
UNFINISHED = "link_in_flight"
"""The folder of files that are not whole yet, in the section where DataJoint's garbage collection sees them."""

_PLACE = {"path", "store", "schema", "url", "timestamp"}
"""What a row says of where its object is and since when, not of what it is."""


@frozen(kw_only=True)
class Move:
    """One object to copy, a file or a folder, and what is recorded of it."""

    table: str
    column: str
    source: Store
    local: Store
    addressing: Addressing
    path: str
    """At the source."""
    goal: str
    """On the local side."""
    key: Mapping[str, str] = field(factory=dict, repr=False, eq=False)
    """Of a row that names it."""
    owners: dict[int, Mapping[str, str]] = field(factory=dict, repr=False, eq=False)
    """The positions of the entities that name it, each with the key of a row of theirs; the files of a folder share them."""
    prefix: bytes = b""
    """What the copy has in front of the source's bytes; `size` and `content` are the copy's."""
    stays: bool = False
    """The local rows point at the source's own object, and nothing is copied."""
    folder: bool = False
    size: int | None = None
    items: int | None = None
    """The number of files of a folder."""
    array: int | None = None
    """The bytes of the values of an array in NumPy's format, without its header."""
    is_array: bool = False
    """Whether it is known to be in that format; a codec of the user's own may record a shape of something else."""
    content: str | None = None
    """DataJoint's name of the content: its MD5 in base 32."""
    digest: str | None = None
    """The MD5 of the content, in hexadecimal digits; empty where its name is none."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Where the copy goes, where it comes from and what is recorded of it."""
        return self.local.name, self.goal, self.path, self.size, self.items, self.array, self.content

    def missing(self) -> ObjectMissing:
        """Return the error to raise where there is no such object."""
        return ObjectMissing(table=self.table, column=self.column, store=self.source.name, path=self.path, key=self.key)

    def in_the_way(self) -> ObjectInTheWay:
        """Return the error to raise where another file has the place of the copy."""
        return ObjectInTheWay(table=self.table, column=self.column, store=self.local.name, path=self.goal, key=self.key)

    def damaged(self, expected: object, found: object) -> ObjectDamaged:
        """Return the error to raise where the object is not what was recorded."""
        return ObjectDamaged(
            table=self.table,
            column=self.column,
            store=self.source.name,
            path=self.path,
            key=self.key,
            expected=str(expected),
            found=str(found),
        )


@frozen(kw_only=True)
class Entry:
    """A local object, or a folder of them, that garbage collections must leave alone."""

    store: str
    path: str
    addressing: Addressing
    holder: str = ""
    """The local table and column that name it, where DataJoint's garbage collection does not count what they name."""
    in_parts: bool = False
    """Whether it is sent in parts, which would stay where the sender dies."""


@define(kw_only=True)
class Packing:
    """Reads the rows of one chunk: the rows as the local side will have them, and the objects to copy."""

    stores: StoreMap
    goals: dict[tuple[object, ...], str] = field(factory=dict)
    """Where the copies go that have a new name each, by what names them; kept from one try to the next."""
    moves: dict[tuple[object, ...], Move] = field(factory=dict, init=False)
    """By identity, so that what is shared is copied once."""
    _origins: dict[tuple[str, str], str] = field(factory=dict, init=False)
    """By local store and path of the user's choice, the path at the source that is copied there."""
    entries: dict[Entry, None] = field(factory=dict, init=False)
    """What is on record while it is on its way: garbage collections leave it alone, and its parts are not left behind.

    Collections never touch the paths of the user's choice, which are here only where they are sent in parts.
    """
    size: int = field(default=0, init=False)
    """Bytes that the rows name and that are copied, as they are recorded; once for each row."""
    faults: dict[int, ObjectMissing] = field(factory=dict, init=False)
    """By position, the first fault of each entity whose objects cannot come along."""
    _key: Mapping[str, str] = field(factory=dict, init=False)
    """Of the row that is being read."""
    _owner: int = field(default=0, init=False)
    """The position of its entity."""

    def rows(self, entity: EntityModel, chunk: Chunk) -> dict[str, Sequence[Any]]:
        """Return the rows of every table as the local side will have them."""
        rows: Any = chunk.rows
        return {
            table.name: self._table(table, rows[table.name], self._owners(entity, table, chunk))
            if table.stored
            else rows[table.name]
            for table in entity.tables
        }

    def _owners(self, entity: EntityModel, table: TableModel, chunk: Chunk) -> Iterator[int]:
        """Yield the position of the entity of each row of a table."""
        positions = {key: position for position, key in enumerate(chunk.keys)}
        rows: Any = chunk.rows
        respelled, key_of = chunk.respelled.get(table.name, {}), reader(table, entity.master.key)
        return (
            respelled[place] if place in respelled else positions[key_of(row)] for place, row in enumerate(rows[table.name])
        )

    def _table(self, table: TableModel, rows: Sequence[Any], owners: Iterable[int]) -> list[tuple[Any, ...]]:
        places = {number: column for number, column in enumerate(table.columns) if column.addressing}
        keys = {number: column.name for number, column in enumerate(table.columns) if column.in_key}
        packed = []
        for row, self._owner in zip(rows, owners, strict=True):
            values = list(row)
            self._key = {name: str(row[number]) for number, name in keys.items()}
            for number, column in places.items():
                if row[number] is not None:
                    values[number] = self._packed(table, column, row[number])
            packed.append(tuple(values))
        return packed

    def _packed(self, table: TableModel, column: Column, text: str) -> str:
        try:
            return self._value(table, column, text)
        except ObjectMissing as error:
            self.blame({self._owner: self._key}, error)
            return text

    def blame(self, owners: Mapping[int, Mapping[str, str]], error: ObjectMissing) -> None:
        """Note that an object of some entities cannot come along."""
        for position, key in owners.items():
            self.faults.setdefault(position, error.about(key))

    def _value(self, table: TableModel, column: Column, text: str) -> str:
        facts = _facts(table, column, text)
        mapped = self.stores.mapped(table, column, facts.get("store") or None, self._key)
        if column.external:
            return self._older(table, column, mapped, facts)
        goal = self._entered(table, column, mapped, facts).goal
        return json.dumps(self._rewritten(facts, goal, mapped), ensure_ascii=False)

    def _older(self, table: TableModel, column: Column, mapped: Mapped, older: Mapping[str, Any]) -> str:
        is_path = column.addressing is Addressing.PATH
        facts = legacy_objects.recorded(older, column.external, mapped.source.spec, is_path=is_path)
        known = legacy_objects.content(older["contents"]) if is_path and older.get("contents") else None
        move = self._entered(table, column, mapped, facts, prefix=legacy_objects.prefix(older), known=known)
        return json.dumps(self._rewritten(facts, move.goal, mapped), ensure_ascii=False)

    def _rewritten(self, facts: Mapping[str, Any], goal: str, mapped: Mapped) -> dict[str, Any]:
        rewritten = {**facts, "path": goal, "store": mapped.local.name}
        if "schema" in facts and mapped.mode is Mode.COPY:
            rewritten["schema"] = self.stores.local_schema
        rewritten.pop("url", None)  # spells out the path again
        return rewritten

    def _entered(
        self,
        table: TableModel,
        column: Column,
        mapped: Mapped,
        facts: Mapping[str, Any],
        *,
        prefix: bytes = b"",
        known: str | None = None,
    ) -> Move:
        stays = mapped.mode is Mode.REFERENCE
        move = _move(table, column, facts, mapped.source, mapped.local, known, key=self._key, stays=stays, prefix=prefix)
        _check_inside(move)
        goal = move.path if move.stays else self._goal(move, table)
        move = evolve(move, goal=goal)
        self.size += 0 if stays else move.size or move.array or 0
        in_parts = move.local.place.in_parts(move.size)
        if not move.stays and (in_parts or move.addressing is not Addressing.PATH):
            is_counted = move.addressing is Addressing.PATH or stored_codecs.is_counted(column.marker)
            entry = Entry(
                store=mapped.local.name,
                path=goal,
                addressing=move.addressing,
                holder="" if is_counted else f"{table.name}.{column.name}",
                in_parts=in_parts,
            )
            self.entries[entry] = None
        place = (move.local.name, goal)
        if move.addressing is Addressing.PATH and self._origins.setdefault(place, move.path) != move.path:
            raise move.in_the_way()
        entered = self.moves.setdefault(move.identity, move)
        entered.owners.setdefault(self._owner, self._key)
        return entered

    def _goal(self, move: Move, table: TableModel) -> str:
        """Return where the copy goes in the local store."""
        if move.addressing is Addressing.HASH:
            return _hash_goal(move, self.stores.local_schema)
        if move.addressing is Addressing.SCHEMA:
            goal = _schema_goal(move, table, self.stores.local_schema)
            if move.folder and (move.size is None or move.items is None):
                return goal  # who knows what has become of it since an earlier try
            named = (table.name, *self._key.values(), move.column, move.local.name, move.path, move.size, move.items)
            return self.goals.setdefault(named, goal)
        prefix = str(move.local.spec.get("filepath_prefix") or "").strip("/")
        return move.path if not prefix or move.path.startswith(f"{prefix}/") else f"{prefix}/{move.path}"


def recorded(table: TableModel, column: Column, text: str, store: Callable[[str], Store]) -> Move:
    """Return what a local row's JSON says of its object, as a move that starts and ends there."""
    facts = _facts(table, column, text)
    place = store(facts.get("store") or column.store)
    move = _move(table, column, facts, place, place)
    _check_inside(move)
    return move


def _facts(table: TableModel, column: Column, text: str) -> dict[str, Any]:
    facts = json.loads(text)
    if isinstance(facts, dict) and _is_record(facts, column):
        return facts
    raise ObjectDamaged(
        table=f"{table.schema}.{table.name}",
        column=column.name,
        store=column.store,
        path="",
        expected="a record of its object",
        found=text[:80],
    )


def _is_record(facts: Mapping[str, Any], column: Column) -> bool:
    counts = [facts.get(name) for name in ("size", "item_count")]
    if any(count is not None and (type(count) is not int or count < 0) for count in counts):
        return False
    return "external" in facts if column.external else isinstance(facts.get("path"), str)


def _move(
    table: TableModel,
    column: Column,
    facts: Mapping[str, Any],
    source: Store,
    local: Store,
    known: str | None = None,
    **more: Any,
) -> Move:
    """Read what is recorded of an object; `known` is the name of its content where it is recorded elsewhere."""
    addressing = column.addressing or Addressing.PATH
    content = str(facts.get("hash")) if addressing is Addressing.HASH else known
    return Move(
        table=f"{table.schema}.{table.name}",
        column=column.name,
        source=source,
        local=local,
        addressing=addressing,
        path=facts["path"],
        goal=facts["path"],
        folder=bool(facts.get("is_dir")),
        size=facts.get("size"),
        items=facts.get("item_count"),
        array=array_bytes(facts),
        is_array=column.marker.startswith("<npy"),
        content=content,
        digest=None if content is None else _md5(content),
        **more,
    )


def same_value(column: Column, here: str | None, there: str | None) -> bool:
    """Whether a column has one value on both sides: for a stored one whether all is equal that is recorded of the object."""
    if column.addressing is None or here is None or there is None:
        return canonical(column, here) == canonical(column, there)
    mine, theirs = json.loads(here), json.loads(there)
    if isinstance(theirs, dict) and "external" in theirs:
        theirs = legacy_objects.recorded(theirs, "", {}, is_path=column.addressing is Addressing.PATH)
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return bool(mine == theirs)
    return {name: mine[name] for name in mine.keys() - _PLACE} == {name: theirs[name] for name in theirs.keys() - _PLACE}


def _check_inside(move: Move) -> None:
    """Refuse a path that leads out of the store: rows are written by others."""
    parts = move.path.rstrip("/").split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in move.path or "\0" in move.path:
        raise move.damaged("a path inside the store", move.path)


def array_bytes(facts: Mapping[str, Any]) -> int | None:
    """Return the bytes of an array's values by its type and shape; None for what is no array."""
    try:
        size = int(math.prod(facts["shape"]) * np.dtype(facts["dtype"]).itemsize)
    except (KeyError, TypeError, ValueError):
        return None
    return size if all(length >= 0 for length in facts["shape"]) else None


def _hash_goal(move: Move, schema: str) -> str:
    """Return what DataJoint would make of the content's name, so that its own inserts find the content there."""
    folds, name = move.local.spec.get("subfolding"), move.content or ""
    if move.digest:
        with suppress(DataJointError):
            return str(build_hash_path(name, schema, tuple(folds) if folds else None, hash_prefix=move.local.hash_section))
    raise move.damaged("the hash of its content in its row", move.content)


def _md5(content: str) -> str:
    """Return the hexadecimal digits of what DataJoint names in base 32."""
    try:
        return base64.b32decode(content.upper() + "======").hex()
    except ValueError:
        return ""


def _schema_goal(move: Move, table: TableModel, schema: str) -> str:
    """Return a new path under the local schema and table, with the key as the source's path spells it.

    The token is new: nothing that a garbage collection at work may have listed before the pull is ever used again.
    """
    head, _, rest = f"/{move.path}".partition(f"/{table.schema}/{table.name}/")
    folder, _, file = rest.rpartition("/")
    if not rest:
        head, folder, file = "", "link=" + hashlib.sha256(move.path.encode()).hexdigest()[:32], move.path.rpartition("/")[2]
    partition = [part for part in head.split("/") if "=" in part]
    ending = file.partition(".")[2]
    name = f"{move.column}_{generate_token(int(move.local.spec.get('token_length') or 8))}" + (f".{ending}" if ending else "")
    return "/".join(filter(None, (move.local.schema_section, schema, table.name, *partition, folder, name)))
