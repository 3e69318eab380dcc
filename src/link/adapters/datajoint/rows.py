"""Whole entities on their way: read at the source, measured, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint import wire
from link.adapters.datajoint.model import Kind
from link.use_cases.ports import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.model import EntityModel, TableModel
    from link.domain.keys import Key, Keys

BOUND = 4_000
"""A string of up to so many characters counts as bounded."""


def read(tables: SourceTables, chosen: str, args: Sequence[Any]) -> Chunk:
    """Read the masters and parts that `chosen` gives: FROM … in which `{table}` stands for the table, with alias `t`."""
    entity = tables.entity
    found = {table.name: _table(tables, table, chosen, args) for table in entity.tables}
    names = [column.name for column in entity.master.columns]
    places = [names.index(column.name) for column in entity.master.key]
    keys = [tuple(row[place] for place in places) for row in found[entity.master.name]]
    return Chunk(keys=keys, rows=found)


def _table(tables: SourceTables, table: TableModel, chosen: str, args: Sequence[Any]) -> list[tuple[Any, ...]]:
    session = tables.session
    values = ", ".join(wire.render(session, column, "t") for column in table.columns)
    place = chosen.replace("{table}", session.table(table.name, table.schema))
    return wire.fetch(session, f"SELECT {values} FROM {place}", args, table.columns)


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
            f"SELECT k.n, SUM({size}) FROM {relation} {wire.joining(session)} {session.table(table.name, table.schema)} t ON {on} GROUP BY k.n",
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
