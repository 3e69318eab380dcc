"""Whole entities on their way: read at the source, measured, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint import wire
from link.adapters.datajoint.model import Kind
from link.use_cases.ports import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.model import Column, EntityModel, TableModel
    from link.adapters.datajoint.session import Session
    from link.domain.keys import Key, Keys

BOUND = 4_000
"""A string of up to so many characters counts as bounded."""


def read(tables: SourceTables, chosen: str, args: Sequence[Any]) -> Chunk:
    """Read the masters and parts that `chosen` gives: FROM … in which `{table}` stands for the table, with alias `t`."""
    entity = tables.entity
    found = {table.name: _table(tables, table, chosen, args) for table in entity.tables}
    keys = [*map(reader(entity.master, entity.master.key), found[entity.master.name])]
    others = {part.name: _respelled(tables.session, entity.master.key, keys, part, found[part.name]) for part in entity.parts}
    return Chunk(keys=keys, rows=found, respelled=others)


def _respelled(
    session: Session, key: Sequence[Column], keys: Keys, part: TableModel, rows: Sequence[Sequence[Any]]
) -> dict[int, int]:
    """Return the places of rows that spell their master's key otherwise, `ANN` for `ann`, and of the masters."""
    if all(column.kind not in {Kind.STRING, Kind.ENUM} for column in key):
        return {}
    known, read = set(keys), reader(part, key)
    others = {index: spelled for index, row in enumerate(rows) if (spelled := read(row)) not in known}
    if not others:
        return {}
    masters = wire.owners(session, key, keys, list(others.values()))
    return {index: master for index, master in zip(others, masters, strict=True) if master is not None}


def _table(tables: SourceTables, table: TableModel, chosen: str, args: Sequence[Any]) -> list[tuple[Any, ...]]:
    session = tables.session
    values = ", ".join(wire.render(session, column, "t") for column in table.columns)
    place = chosen.replace("{table}", session.table(table.name, table.schema))
    return wire.fetch(session, f"SELECT {values} FROM {place}", args, table.columns)


def reader(table: TableModel, key: Sequence[Column]) -> Callable[[Sequence[Any]], Key]:
    """Return what takes the master's `key` out of a row of `table`."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in key]
    return lambda row: tuple(row[place] for place in places)


def unbounded(entity: EntityModel) -> bool:
    """Whether a row of a chunk can be of any size, or a master can have any number of parts."""
    return bool(entity.parts) or any(
        column.kind in {Kind.BYTES, Kind.JSON} or (column.kind is Kind.STRING and (column.size or BOUND + 1) > BOUND)
        for table in entity.tables
        for column in table.columns
    )


def sizes(tables: SourceTables, keys: Keys) -> list[int]:
    """Return about how many bytes the entities of `keys` have, each with its parts."""
    session, entity = tables.session, tables.entity
    relation, args = wire.key_relation(session, entity.master.key, keys)
    on = wire.key_join(session, entity.master.key, "t")
    total = [0] * len(keys)
    for table in entity.tables:
        size = wire.row_sizes(session, "t", table.columns)
        found = session.query(
            f"SELECT k.n, SUM({size}) FROM {relation} {wire.joining(session)}"
            f" {session.table(table.name, table.schema)} t ON {on} GROUP BY k.n",
            args,
        )
        for position, size_found in found:
            total[position] += int(size_found)
    return total


def runs(keys: Keys, bytes_each: Sequence[int], most: int) -> list[list[Key]]:
    """Divide `keys`, in order, into runs of at most `most` bytes, or of a single key."""
    divided: list[list[Key]] = []
    room = 0
    for key, size in zip(keys, bytes_each, strict=True):
        if not divided or size > room:
            divided.append([])
            room = most
        divided[-1].append(key)
        room -= size
    return divided
