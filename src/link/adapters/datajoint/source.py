"""The port to the source table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from link.adapters.datajoint import rows, wire
from link.use_cases.ports import Chunk, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from link.adapters.datajoint.amounts import Amounts
    from link.adapters.datajoint.evidence import SourceTables
    from link.domain.keys import Key, Keys

CHUNK_BYTES = 64 * 2**20
"""How much of a source's rows is held in memory at once, about; one entity at the least."""
OBJECT_BYTES = 4 * 2**30
"""How many bytes of stored objects one transfer brings, about; what is begun anew where it is interrupted."""


@define(kw_only=True)
class DataJointSource:
    """Reads the source table with the link user's rights."""

    tables: Callable[[], SourceTables]
    amounts: Amounts | None = None
    """Of stored objects, where the tables have any."""

    def page(self, selection: object, after: Key | None, limit: int) -> Page:
        """Return the keys of `selection`, the SQL of a query for the key columns, or of the whole table for None."""
        tables = self.tables()
        chosen = f"({selection})" if selection is not None else tables.source
        where, args = after_condition(tables, "x", after)
        order = wire.key_order(tables.session, tables.entity.master.key, "x")
        found = tables.evidence(
            f"(SELECT {tables.columns('x')} FROM {chosen} x WHERE {where} ORDER BY {order} LIMIT %s) x",
            (*args, limit),
            order,
        )
        return Page(keys=[key for key, _ in found], evidence=[evidence for _, evidence in found], last=len(found) < limit)

    def read(self, keys: Keys) -> Chunk:
        """Return the entities of `keys` as they are now, for comparison."""
        tables = self.tables()
        relation, args = wire.key_relation(tables.session, tables.entity.master.key, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "t")
        return rows.read(tables, f"{relation} {wire.joining(tables.session)} {{table}} t ON {on}", args)

    def split(self, keys: Keys) -> Sequence[Keys]:
        """Divide `keys` by the bytes of their rows and objects, where the tables have columns without a bound."""
        tables = self.tables()
        if not rows.unbounded(tables.entity) or len(keys) < 2:  # noqa: PLR2004 - one key cannot be divided
            return [keys]
        sizes = rows.sizes(tables, keys)
        if self.amounts is not None:
            stored = (size * CHUNK_BYTES // OBJECT_BYTES for size in self.amounts.each(keys))
            sizes = [sum(both) for both in zip(sizes, stored, strict=True)]
        return rows.runs(keys, sizes, CHUNK_BYTES)

    def expected(self, selection: object) -> int:
        """Return the bytes of objects to come, all of them counted by the server in one statement a column."""
        return self.amounts.unregistered(selection) if self.amounts is not None else 0


def after_condition(tables: SourceTables, alias: str, after: Key | None) -> tuple[str, Sequence[Any]]:
    """Return the condition that a row of `alias` comes after a key, and its arguments."""
    if after is None:
        return "TRUE", ()
    return wire.key_after(tables.session, tables.entity.master.key, alias, after)


def keys_of(tables: SourceTables, place: str, condition: str, args: Sequence[Any], after: Key | None, limit: int) -> list[Key]:
    """Return the first `limit` keys after `after` of the rows of `place`, FROM … with an alias `o`, that meet `condition`."""
    where, more = after_condition(tables, "o", after)
    order = wire.key_order(tables.session, tables.entity.master.key, "o")
    return tables.session.query(
        f"SELECT {tables.wires('o')} FROM {place} WHERE {condition} AND {where} ORDER BY {order} LIMIT %s",
        (*args, *more, limit),
    )
