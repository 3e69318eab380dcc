"""Registrations and flags of given keys, one statement each: the keys travel as a relation that joins the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from link.adapters.datajoint import wire
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.layout import HELD, TRANSFER
from link.domain.keys import pick

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from link.adapters.datajoint.evidence import SourceTables
    from link.domain.keys import Keys
    from link.domain.transfers import Transfer
    from link.use_cases.ports import SourceEvidence


@frozen(kw_only=True)
class Chosen:
    """Some keys of a link's tables at the source; positions are those of `keys`, from 0."""

    tables: SourceTables
    keys: Keys
    _relation: tuple[str, Sequence[Any]] = field(init=False, repr=False, eq=False)

    @_relation.default
    def _related(self) -> tuple[str, Sequence[Any]]:
        return wire.key_relation(self.tables.session, self.tables.entity.master.key, self.keys)

    def some(self, positions: Sequence[int]) -> Chosen:
        """Return those at `positions`."""
        return Chosen(tables=self.tables, keys=pick(self.keys, positions))

    # ---- reads

    def evidence(self) -> Sequence[SourceEvidence]:
        """Return the evidence for the keys, in their order."""
        relation, args = self._relation
        names = ", ".join(f"k.c{index} AS {key}" for index, key in enumerate(self.tables.keys))
        position = self.tables.session.quote("~n")  # a key may well have a column `n`
        found = self.tables.evidence(f"(SELECT k.n AS {position}, {names} FROM {relation}) x", args, f"x.{position}")
        return [evidence for _, evidence in found]

    def among(self, table: str) -> set[int]:
        """Return the positions of the keys that `table` has."""
        joined, args = self._joined(table)
        return {int(row[0]) for row in self.tables.session.query(f"SELECT k.n FROM {joined}", args)}

    def registered(self, condition: str, args: Sequence[Any] = (), *, lock: bool) -> list[int]:
        """Return the positions of the registrations that meet `condition`, and lock their rows if so asked."""
        joined, keys = self._joined(self.tables.outbound)
        of = " OF o" if self.tables.session.backend == "postgresql" else ""
        found = self.tables.session.query(
            f"SELECT k.n FROM {joined} WHERE {condition} ORDER BY k.n{f' FOR UPDATE{of}' if lock else ''}", (*keys, *args)
        )
        return [int(row[0]) for row in found]

    def under(self, transfer: Transfer, condition: str = "TRUE", *, lock: bool, own: bool = False) -> list[int]:
        """Return the positions of the registrations under `transfer` that meet `condition`, and lock them if so asked.

        `own` leaves out those that an earlier transfer has registered.
        """
        speech = dialect(self.tables.session)
        marks = [TRANSFER, HELD] if own else [TRANSFER]
        same = " AND ".join(f"o.{mark} = {speech.uuid}" for mark in marks)
        return self.registered(f"{same} AND {condition}", [speech.id(transfer.id)] * len(marks), lock=lock)

    # ---- changes

    def insert(self, transfer: Transfer) -> None:
        """Register, under `transfer`, those that the source has and that are not registered."""
        tables, speech = self.tables, dialect(self.tables.session)
        joined, args = self._joined(tables.source)
        tables.session.query(
            f"INSERT INTO {tables.outbound} ({', '.join(tables.keys)}, {TRANSFER}, {HELD})"
            f" SELECT {tables.columns('o')}, {speech.uuid}, {speech.uuid} FROM {joined}"
            f" {speech.ignore_duplicates(f'{tables.outbound}.{TRANSFER}')}",
            (*[speech.id(transfer.id)] * 2, *args),
        )

    def take(self, transfer: Transfer, condition: str, *, hold: bool = False) -> None:
        """Put the registrations that meet `condition` under `transfer`.

        To `hold` them is for rows that are going to be local again: one whose approval lab S has deleted is not held any more.
        """
        speech = dialect(self.tables.session)
        changes = [f"{TRANSFER} = {speech.uuid}", *([f"{HELD} = COALESCE(o.{HELD}, {speech.uuid})"] if hold else [])]
        self.update(self.tables.outbound, ", ".join(changes), [speech.id(transfer.id)] * len(changes), condition)

    def approve(self) -> None:
        """Flag the registrations as approved and hold them no longer."""
        tables = self.tables
        joined, args = self._joined(tables.outbound)
        tables.session.query(
            f"INSERT INTO {tables.approved} ({', '.join(tables.keys)}) SELECT {tables.columns('o')} FROM {joined}", args
        )
        self._unhold()

    def release(self) -> None:
        """Take the registrations away."""
        self._unhold()
        self.delete(self.tables.outbound)

    def _unhold(self) -> None:
        self.update(self.tables.outbound, f"{HELD} = NULL")

    def update(self, table: str, changes: str, values: Sequence[Any] = (), condition: str = "TRUE") -> None:
        """Make `changes`, with places for `values`, to the rows of `table` (alias `o`) that have the keys."""
        session, (relation, args) = self.tables.session, self._relation
        statement = dialect(session).update(table, "o", relation, self._on, changes, condition)
        # PostgreSQL names the changes first, MySQL the join
        session.query(statement, (*values, *args) if session.backend == "postgresql" else (*args, *values))

    def delete(self, table: str) -> None:
        """Delete the rows of `table` that have the keys."""
        relation, args = self._relation
        self.tables.session.query(dialect(self.tables.session).delete(table, "o", relation, self._on), args)

    # ---- SQL

    @property
    def _on(self) -> str:
        return wire.key_join(self.tables.session, self.tables.entity.master.key, "o")

    def _joined(self, table: str) -> tuple[str, Sequence[Any]]:
        """Return what stands in FROM for the keys (`k`) with their rows of `table` (`o`), and its arguments."""
        relation, args = self._relation
        return f"{relation} {wire.joining(self.tables.session)} {table} o ON {self._on}", args
