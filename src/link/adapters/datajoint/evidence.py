"""What the source server says about keys: one SELECT for source, outbound, its flags and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from link.adapters.datajoint import wire
from link.adapters.datajoint.layout import JOURNAL, REGISTRY, TRANSFER
from link.domain.transfers import Operation
from link.use_cases.ports import SourceEvidence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.model import EntityModel
    from link.adapters.datajoint.session import Session


@define(kw_only=True)
class SourceTables:
    """The tables of one link at the source, as SQL; `session` is the one of the present unit of work."""

    session: Session
    entity: EntityModel
    names: OutboundNames

    @property
    def source(self) -> str:
        return self.session.table(self.entity.master.name, self.entity.master.schema)

    @property
    def outbound(self) -> str:
        return self.session.table(self.names.master)

    @property
    def requested(self) -> str:
        return self.session.table(self.names.requested)

    @property
    def approved(self) -> str:
        return self.session.table(self.names.approved)

    @property
    def journal(self) -> str:
        return self.session.table(JOURNAL)

    @property
    def registry(self) -> str:
        return self.session.table(REGISTRY)

    @property
    def keys(self) -> list[str]:
        """The key columns, quoted."""
        return [self.session.quote(column.name) for column in self.entity.master.key]

    def columns(self, alias: str) -> str:
        """Return the key columns of `alias`, as they are."""
        return ", ".join(f"{alias}.{key}" for key in self.keys)

    def wires(self, alias: str) -> str:
        """Return the key columns of `alias` as text that can travel."""
        return ", ".join(wire.render(self.session, column, alias) for column in self.entity.master.key)

    def same(self, one: str, other: str) -> str:
        """Return the condition that two aliases have the same key."""
        return " AND ".join(f"{one}.{key} = {other}.{key}" for key in self.keys)

    def flagged(self, flags: str, alias: str = "o") -> str:
        """Return the condition that the row of `alias` is in the flag table `flags`."""
        return f"EXISTS (SELECT 1 FROM {flags} f WHERE {self.same('f', alias)})"

    @property
    def settled(self) -> str:
        """The condition that the last transfer of the outbound row `o` is closed.

        Spelled positively: after a wait for the row PostgreSQL looks at its new version with the old snapshot, in which a
        transfer opened meanwhile is missing, so that `NOT EXISTS (… open …)` would take a row that is under way.
        """
        return f"EXISTS (SELECT 1 FROM {self.journal} j WHERE j.transfer = o.{TRANSFER} AND j.closed IS NOT NULL)"

    @property
    def pointless(self) -> str:
        """The condition that an approval of the row `o` is withdrawn, or that its source row is gone."""
        return f"NOT ({self.flagged(self.requested)} AND {self.flagged(self.source)})"

    def evidence(self, rows: str, args: Sequence[Any], order: str) -> list[tuple[tuple[str, ...], SourceEvidence]]:
        """Return keys and evidence of `rows`, a relation with the alias `x` that has the key, in an order."""
        joins = (
            f" LEFT JOIN {self.source} s ON {self.same('s', 'x')} LEFT JOIN {self.outbound} o ON {self.same('o', 'x')}"
            f" LEFT JOIN {self.requested} r ON {self.same('r', 'x')}"
            f" LEFT JOIN {self.approved} a ON {self.same('a', 'x')}"
            f" LEFT JOIN {self.journal} j ON j.transfer = o.{TRANSFER} AND j.closed IS NULL"
        )
        first = self.keys[0]
        flags = ", ".join(f"CASE WHEN {alias}.{first} IS NULL THEN 0 ELSE 1 END" for alias in "sora")
        statement = f"SELECT {self.wires('x')}, {flags}, j.operation FROM {rows}{joins} ORDER BY {order}"
        return [self._read(row) for row in self.session.query(statement, args)]

    def _read(self, row: tuple[Any, ...]) -> tuple[tuple[str, ...], SourceEvidence]:
        *key, in_source, registered, requested, approved, operation = row
        return tuple(key), SourceEvidence(
            in_source=bool(in_source),
            registered=bool(registered),
            requested=bool(requested),
            approved=bool(approved),
            transfer=Operation(operation) if operation else None,
        )
