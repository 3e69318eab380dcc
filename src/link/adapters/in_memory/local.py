"""The local server's port in memory: copies, what depends on them, and decisions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define

from link.adapters.in_memory.steps import Steps
from link.adapters.in_memory.world import TABLE, Fault
from link.domain.errors import (
    Busy,
    IncompleteCopy,
    KeyConflict,
    OutcomeUnknown,
    RemovalChanged,
    TransferAbandoned,
    ValueNotRepresentable,
)
from link.domain.transfers import Outcome
from link.use_cases.ports import Difference, Removal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from link.domain.keys import Key, Keys
    from link.domain.transfers import Transfer
    from link.use_cases.ports import Chunk


@define
class InMemoryLocal(Steps):
    """Keeps copies and decisions; compares keys as `World.same` says."""

    # ---- what is there

    def present(self, keys: Keys) -> Sequence[int]:
        with self.step("present"):
            there = self.world.held()
            return [position for position, key in enumerate(keys) if self.world.same(key) in there]

    def clashes(self, keys: Keys) -> Sequence[int]:
        with self.step("clashes"):
            seen = [self.world.same(key) for key in keys]
            often = Counter(seen)
            return [position for position, key in enumerate(seen) if often[key] > 1]

    def named(self, key: Key) -> Mapping[str, str]:
        return {f"key{place}": value for place, value in enumerate(key)}

    def difference(self, chunk: Chunk) -> Sequence[Difference]:
        rows: Mapping[Key, object] = chunk.rows  # type: ignore[assignment]
        with self.step("difference"):
            held = self.world.held()
            pairs = [(key, self.world.local[held[self.world.same(key)]]) for key in chunk.keys if self.world.same(key) in held]
            return [Difference(key=self.named(key), columns=["value"] if row != rows.get(key) else []) for key, row in pairs]

    def select(self, selection: object) -> Sequence[Key]:
        with self.step("select"):
            return sorted(key for key in self.world.local if selection is None or key in selection)  # type: ignore[operator]

    def preview(self, keys: Keys) -> Removal:
        with self.step("preview"):
            return self._removal(keys)

    def _removal(self, keys: Keys) -> Removal:
        there = {key for key in keys if key in self.world.local}
        counts = {TABLE: len(there)}
        for table, parents in self.world.dependents.items():
            counts[table] = sum(parent in there for parent in parents)
        return Removal(counts={table: count for table, count in counts.items() if count or table == TABLE})

    def requests(self) -> Sequence[Key]:
        with self.step("requests"):
            return sorted(self.world.shown)

    def change_requests(self, add: Keys, drop: Keys) -> int:
        with self.step("change requests"):
            new = [key for key in add if key not in self.world.shown and key in self.world.local]
            self.world.shown.difference_update(drop)
            self.world.shown.update(new)
            return len(new)

    # ---- decisions

    def is_alive(self, transfer: Transfer) -> bool:
        with self.step("is alive locally"):
            return transfer.owner in self.world.alive

    def abandon(self, transfer: Transfer) -> Outcome:
        with self.step("abandon"):
            if transfer.id in self.world.deciding:
                raise Busy(what_is_busy="The local server", who="its owner", since="a moment ago")
            return self.world.decisions.setdefault(transfer.id, Outcome.ABANDONED)

    def unfit(self, chunk: Chunk) -> Sequence[tuple[int, ValueNotRepresentable]]:
        with self.step("unfit"):
            return [
                (position, ValueNotRepresentable(table=TABLE, detail="said so", key=self.named(key)))
                for position, key in enumerate(chunk.keys)
                if key in self.world.unfit
            ]

    def commit_pull(self, transfer: Transfer, chunk: Chunk) -> None:
        rows: Mapping[Key, tuple[str, ...]] = chunk.rows  # type: ignore[assignment]

        def insert() -> None:
            held = self.world.held()
            taken = [key for key in rows if self.world.same(key) in held]
            if taken:
                raise KeyConflict(table=TABLE, keys=[self.named(key) for key in taken])
            self.world.local.update(rows)

        self._commit("commit pull", transfer, insert)

    def commit_delete(self, transfer: Transfer | None, keys: Keys, confirmed: Removal | None) -> Removal:
        found = Removal(counts={TABLE: 0})

        def remove() -> None:
            nonlocal found
            found = self._removal(keys)
            if confirmed is None and found.counts[TABLE]:
                raise IncompleteCopy(table=TABLE, expected=0, found=found.counts[TABLE])
            if confirmed is not None and found.exceeds(confirmed):
                raise RemovalChanged(confirmed=confirmed.counts, found=found.counts)
            for key in keys:
                self.world.lose(key)

        self._commit("commit delete", transfer, remove)
        return found

    def _commit(self, name: str, transfer: Transfer | None, change: Callable[[], None]) -> None:
        """Decide and change in one transaction: now, after a stall or, its reply lost for good, later."""
        with self.step(name, transfer) as fault:
            if fault in {Fault.DELAY, Fault.DELAY_AND_DIE}:
                self.world.delayed.append(lambda: self._late(transfer, change))
                if fault is Fault.DELAY_AND_DIE:
                    self.die()
                raise OutcomeUnknown(server="memory", transfer=str(transfer.id if transfer else name))
            if fault is Fault.STALL and transfer is not None and transfer.id not in self.world.decisions:
                self._stall(name, transfer)
            self._apply(transfer, change)

    def _stall(self, name: str, transfer: Transfer) -> None:
        """Be held up with the decision inserted and not committed: whoever wants to decide meanwhile finds it busy."""
        self.world.deciding.add(transfer.id)
        try:
            with self.step(f"stalled in {name}", transfer):
                return
        finally:
            self.world.deciding.discard(transfer.id)

    def _late(self, transfer: Transfer | None, change: Callable[[], None]) -> None:
        try:
            self._apply(transfer, change)
        except (TransferAbandoned, KeyConflict, RemovalChanged, IncompleteCopy):
            return

    def _apply(self, transfer: Transfer | None, change: Callable[[], None]) -> None:
        if transfer is not None and transfer.id in self.world.decisions:
            raise TransferAbandoned(transfer=str(transfer.id))
        change()
        if transfer is not None:
            self.world.decisions[transfer.id] = Outcome.DONE
