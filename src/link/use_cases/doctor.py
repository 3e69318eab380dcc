"""Check everything that a link rests on, and change nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, field

from link.domain.findings import Finding, Trouble, diagnose
from link.domain.keys import batches, pick
from link.domain.states import State, classify
from link.use_cases.looking import look
from link.use_cases.recovery import pages
from link.use_cases.results import DoctorResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from link.domain.keys import Key, Keys
    from link.domain.states import Evidence
    from link.domain.transfers import OpenTransfer
    from link.use_cases.inspection import Premises
    from link.use_cases.ports import Ports

LONG = 600.0
"""After how many seconds a transfer of a live process is worth a note."""
EXAMPLES = 5
HELD = {State.PULLED, State.DELETION_REQUESTED}
"""The states in which both sides have the entity and nobody is at work on it."""


def doctor(premises: Premises, ports: Callable[[], Ports], *, own_rows: bool = False) -> DoctorResult:
    """Look at the tables, the guard and the rights, and, where those let it, at every registered and every local key.

    Reads page by page: memory is bounded, and so is the load on the servers. What seems wrong is looked at twice, so that
    other runs at the same time are no findings. `own_rows` says that lab L may have rows of its own: they are notes then.
    """
    standing = premises.look()
    if not standing.readable:
        return DoctorResult(findings=tuple(standing.findings), lines=tuple(standing.lines), readable=False)
    reached = ports()
    start = reached.clock()
    walk = Walk(reached, own_rows=own_rows)
    findings = [*standing.findings, *transfers(reached), *_decisions(reached), *counted(reached, walk.troubles())]
    return DoctorResult(
        findings=tuple(findings),
        states=dict(walk.states),
        lines=tuple(standing.lines),
        seconds=reached.clock() - start,
    )


def counted(ports: Ports, troubles: Iterable[tuple[Key, Trouble]]) -> list[Finding]:
    """Return a finding for each kind of trouble, with the first few keys."""
    counts: Counter[Trouble] = Counter()
    examples: dict[Trouble, list[Key]] = {}
    for key, trouble in troubles:
        counts[trouble] += 1
        shown = examples.setdefault(trouble, [])
        if len(shown) < EXAMPLES:
            shown.append(key)
    return [
        Finding(trouble=trouble, count=counts[trouble], keys=[ports.local.named(key) for key in examples[trouble]])
        for trouble in Trouble
        if counts[trouble]
    ]


def judge(ports: Ports, keys: Keys, evidence: Sequence[Evidence]) -> list[Trouble | None]:
    """Return what is wrong with each of `keys`; local rows are compared with the source's before they pass for copies."""
    troubles = [diagnose(seen) for seen in evidence]
    strangers = [n for n, seen in enumerate(evidence) if seen.in_source and seen.in_local and not seen.registered]
    if strangers:
        alike = {strangers[place] for place in ports.inspector.alike(pick(keys, strangers))}
        for position in strangers:
            troubles[position] = troubles[position] if position in alike else Trouble.LOCAL_DIFFERS
    return troubles


@define
class Walk:
    """One walk over all keys that either side has; `states` counts the entities met by their states."""

    ports: Ports
    own_rows: bool = False
    """Whether lab L may have rows of its own, which are no trouble then."""
    states: Counter[State] = field(factory=Counter)

    def troubles(self) -> Iterator[tuple[Key, Trouble]]:
        """Yield every key that something is wrong with, and what."""
        self.ports.progress.begin("looking")
        try:
            yield from self._walk()
        finally:
            self.ports.progress.end()

    def _walk(self) -> Iterator[tuple[Key, Trouble]]:
        inspector = self.ports.inspector
        yield from self._registered()
        for keys in pages(self.ports, inspector.copies):
            yield from self._unregistered(keys, in_local=True)
        for keys in pages(self.ports, inspector.stray_flags):
            yield from self._unregistered(keys, in_local=False)
        for keys in pages(self.ports, inspector.unheld):
            evidence = look(self.ports, keys)
            yield from ((key, Trouble.UNHELD) for key, seen in zip(keys, evidence, strict=True) if classify(seen) in HELD)
        for keys in pages(self.ports, inspector.lone_parts):
            yield from ((key, Trouble.PART_ALONE) for key in keys)
        yield from self._shown_only()

    def _registered(self) -> Iterator[tuple[Key, Trouble]]:
        after: Key | None = None
        while True:
            page = self.ports.inspector.registrations(after, self.ports.chunk)
            if page.keys:
                evidence = look(self.ports, page.keys, page.evidence)
                yield from self._told(page.keys, evidence)
                yield from self._both_sides(page.keys, evidence)
                self.ports.progress.advance(len(page.keys))
                after = page.keys[-1]
            if page.last:
                return

    def _told(self, keys: Keys, evidence: Sequence[Evidence]) -> Iterator[tuple[Key, Trouble]]:
        self.states.update(verdict for seen in evidence if isinstance(verdict := classify(seen), State))
        for key, trouble in zip(keys, judge(self.ports, keys, evidence), strict=True):
            if trouble is not None:
                is_own = self.own_rows and trouble is Trouble.LOCAL_ALONE
                yield key, Trouble.OWN_ROW if is_own else trouble

    def _both_sides(self, keys: Keys, evidence: Sequence[Evidence]) -> Iterator[tuple[Key, Trouble]]:
        held = [position for position, seen in enumerate(evidence) if classify(seen) in HELD]
        yield from self._uneven(pick(keys, held))
        asked = pick(keys, [position for position in held if evidence[position].requested])
        shown = set(self.ports.inspector.shown(asked)) if asked else set()
        yield from ((key, Trouble.REQUEST_NOT_SHOWN) for place, key in enumerate(asked) if place not in shown)

    def _uneven(self, keys: Keys) -> Iterator[tuple[Key, Trouble]]:
        """Compare parts; entities that are deleted or pulled anew between the looks at the two servers are no finding."""
        found = self.ports.inspector.uneven(keys) if keys else ()
        if not found:
            return
        unsure = pick(keys, [parts.position for parts in found])
        held = [key for key, seen in zip(unsure, look(self.ports, unsure), strict=True) if classify(seen) in HELD]
        for parts in self.ports.inspector.uneven(held) if held else ():
            yield held[parts.position], Trouble.PARTS_MISSING if parts.missing else Trouble.PARTS_LEFT_OVER

    def _unregistered(self, keys: Keys, *, in_local: bool) -> Iterator[tuple[Key, Trouble]]:
        """Tell of the unregistered ones of `keys`; a flag of a local row is told with the row."""
        evidence = look(self.ports, keys)
        wanted = [n for n, seen in enumerate(evidence) if not seen.registered and seen.in_local is in_local]
        yield from self._told(pick(keys, wanted), [evidence[position] for position in wanted])

    def _shown_only(self) -> Iterator[tuple[Key, Trouble]]:
        for keys in batches(self.ports.local.requests(), self.ports.chunk):
            evidence = self.ports.outbound.evidence(keys)
            yield from ((k, Trouble.REQUEST_SHOWN_ONLY) for k, seen in zip(keys, evidence, strict=True) if not seen.requested)


def transfers(ports: Ports) -> list[Finding]:
    """Tell of open transfers whose process is gone, and of those that are under way for long."""
    dead, slow = [], []
    for found in ports.outbound.open_transfers():
        transfer = found.transfer
        if not (ports.outbound.is_alive(transfer) or ports.local.is_alive(transfer)):
            dead.append(found)
        elif ports.inspector.age(found) > LONG:
            slow.append(found)
    still = {found.transfer.id for found in ports.outbound.open_transfers()} if dead or slow else set()
    kinds = {Trouble.TRANSFER_INTERRUPTED: dead, Trouble.TRANSFER_LONG: slow}
    return [_open(trouble, kept) for trouble, found in kinds.items() if (kept := [f for f in found if f.transfer.id in still])]


def _open(trouble: Trouble, found: Sequence[OpenTransfer]) -> Finding:
    told = [f"{each.transfer.operation.value} of {each.who} since {each.opened:%Y-%m-%d %H:%M:%S} UTC" for each in found]
    return Finding(trouble=trouble, count=len(found), detail="; ".join(told[:EXAMPLES]))


def _decisions(ports: Ports) -> list[Finding]:
    counts = {
        Trouble.DECISION_UNKNOWN: ports.inspector.decisions_unknown(),
        Trouble.DECISION_MISSING: ports.inspector.transfers_undecided(),
    }
    return [Finding(trouble=trouble, count=count) for trouble, count in counts.items() if count]
