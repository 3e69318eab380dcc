"""Looking at both servers in memory, for `doctor` and `repair`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from attrs import define, evolve

from link.adapters.in_memory.source import seen
from link.adapters.in_memory.steps import Steps, first_after
from link.domain.findings import Cure
from link.use_cases.inspection import Parts, Standing
from link.use_cases.ports import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.domain.keys import Key, Keys
    from link.domain.transfers import OpenTransfer


@define
class InMemoryInspector(Steps):
    """Reads; a row's parts are its values after the first one."""

    def registrations(self, after: Key | None, limit: int) -> Page:
        with self.step("registrations"):
            keys = first_after([*self.world.outbound], after, limit)
            return Page(keys=keys, evidence=[seen(self.world, key) for key in keys], last=len(keys) < limit)

    def unheld(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("unheld"):
            loose = [key for key, found in self.world.outbound.items() if not found.held and key not in self.world.approved]
            return first_after([key for key in loose if self.world.operation(key) is None], after, limit)

    def stray_flags(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("stray flags"):
            flags = self.world.requested | self.world.approved
            return first_after([*(flags - self.world.outbound.keys())], after, limit)

    def copies(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("copies"):
            return first_after([*self.world.local], after, limit)

    def lone_parts(self, after: Key | None, limit: int) -> Sequence[Key]:
        with self.step("lone parts"):
            return first_after([*self.world.lone_parts], after, limit)

    def uneven(self, keys: Keys) -> Sequence[Parts]:
        with self.step("uneven"):
            source, local = self.world.source, self.world.local
            both = [(n, len(local[key]), len(source[key])) for n, key in enumerate(keys) if key in source and key in local]
            return [Parts(position=n, missing=here < there) for n, here, there in both if here != there]

    def alike(self, keys: Keys) -> Sequence[int]:
        with self.step("alike"):
            source, local = self.world.source, self.world.local
            both = [(n, key) for n, key in enumerate(keys) if key in source and key in local]
            return [n for n, key in both if source[key][:1] == local[key][:1]]

    def shown(self, keys: Keys) -> Sequence[int]:
        with self.step("shown"):
            return [position for position, key in enumerate(keys) if key in self.world.shown]

    def decisions_unknown(self) -> int:
        with self.step("decisions unknown"):
            return len(self.world.decisions.keys() - self.world.journal.keys())

    def transfers_undecided(self) -> int:
        with self.step("transfers undecided"):
            journal, decided = self.world.journal, self.world.decisions
            last = {found.transfer for found in self.world.outbound.values()}
            return sum(ident in journal and not journal[ident].is_open and ident not in decided for ident in last)

    def age(self, transfer: OpenTransfer) -> float:
        return (datetime.now(timezone.utc) - transfer.opened).total_seconds()


@define
class InMemoryPremises(Steps):
    """What `World.standing` says; mending takes away what can be cured."""

    def look(self) -> Standing:
        with self.step("look"):
            return self.world.standing

    def mend(self) -> None:
        with self.step("mend"):
            left = [finding for finding in self.world.standing.findings if finding.remedy.cure is Cure.LEAVE]
            self.world.standing = evolve(self.world.standing, findings=tuple(left), readable=True)
