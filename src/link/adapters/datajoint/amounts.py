"""How many bytes of stored objects the source's rows name, counted by the server from what is recorded of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.datajoint import wire
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.objects import array_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from link.adapters.datajoint.evidence import SourceTables
    from link.adapters.datajoint.model import Column, TableModel
    from link.domain.keys import Keys


@define(kw_only=True)
class Amounts:
    """Counts the bytes of columns whose objects are copied; one that several rows name counts for each of them."""

    tables: Callable[[], SourceTables]
    is_copied: Callable[[TableModel, Column], bool]

    def unregistered(self, selection: object) -> int:
        """Return the bytes of all entities of `selection` that are not registered."""
        tables = self.tables()
        chosen = f"({selection}) x JOIN" if selection is not None else ""
        new = f"NOT EXISTS (SELECT 1 FROM {tables.outbound} o WHERE {tables.same('o', 't')})"
        on = f" ON {tables.same('x', 't')}" if chosen else ""
        place = f"{chosen} {{table}} t{on} WHERE {new} AND %s = 1"  # with an argument percent signs are doubled everywhere
        return sum(size for _, size in self._counted(tables, "0", place, (1,)))

    def each(self, keys: Keys) -> list[int]:
        """Return the bytes of each of the entities of `keys`."""
        tables = self.tables()
        relation, args = wire.key_relation(tables.session, tables.entity.master.key, keys)
        on = wire.key_join(tables.session, tables.entity.master.key, "t")
        place = f"{relation} {wire.joining(tables.session)} {{table}} t ON {on}"
        total = [0] * len(keys)
        for position, size in self._counted(tables, "k.n", place, args):
            total[position] += size
        return total

    def _counted(self, tables: SourceTables, group: str, place: str, args: Sequence[Any]) -> Iterator[tuple[int, int]]:
        """Yield groups of rows with bytes; `place` is FROM … in which `{table}` stands for the table, with alias `t`."""
        session, speech = tables.session, dialect(tables.session)
        for table in tables.entity.tables:
            for column in table.stored:
                if not self.is_copied(table, column):
                    continue
                text = wire.render(session, column, "t")
                shape, kind, size = speech.fact(text, "shape"), speech.fact(text, "dtype"), speech.number(text, "size")
                of = place.replace("{table}", session.table(table.name, table.schema))
                for number, dims, dtype, known, rows in session.query(
                    f"SELECT g, shape, dtype, SUM(size), COUNT(*) FROM (SELECT {group} AS g, {shape} AS shape,"
                    f" {kind} AS dtype, {size} AS size FROM {of}) f GROUP BY g, shape, dtype",
                    args,
                ):
                    array = array_bytes({"shape": _shape(dims), "dtype": dtype}) if dims and dtype else None
                    yield int(number), int(known or 0) or (array or 0) * int(rows)


def _shape(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None  # what is recorded there is no shape
