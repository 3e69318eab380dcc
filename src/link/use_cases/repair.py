"""Put right what can be put right without losing a row.

Every step on a key is a transfer of the protocol, decided on the local server and looked at after the decision, so that
pulls, deletes and recoveries may go on at the same time, and this run may die anywhere.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from link.domain.findings import BLOCKING, REMEDIES, Cure, Trouble
from link.domain.keys import batches, pick
from link.domain.states import classify
from link.domain.transfers import Operation, Transfer
from link.use_cases.doctor import HELD, Walk, counted, judge, transfers
from link.use_cases.looking import look
from link.use_cases.ports import Settled
from link.use_cases.recovery import approve_lost, finish, recover, settle_failure
from link.use_cases.refresh import refresh
from link.use_cases.results import DoctorResult, RepairResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from link.domain.findings import Finding
    from link.domain.keys import Key, Keys
    from link.use_cases.inspection import Premises, Standing
    from link.use_cases.ports import Ports


MADE_AGAIN = "made again (guard, tables, keys, rights)"


def repair(
    premises: Premises,
    ports: Callable[[], Ports],
    confirm: Callable[[DoctorResult], bool],
    *,
    release_lost: bool = False,
    own_rows: bool = False,
) -> RepairResult:
    """Show what is wrong, ask, do what can be done, and name the rest key by key.

    `confirm` sees what `doctor` would return; False ends it with nothing written anywhere. Local rows and source rows are
    never touched. `release_lost` gives up registrations whose local row is gone; otherwise they wait for a pull.
    """
    standing = premises.look()
    found = _collect(ports(), own_rows=own_rows) if standing.readable else {}
    report = _report(ports, standing, found)
    if _is_hopeless(report, release_lost=release_lost) or not confirm(report):
        return _result(ports, standing, found)
    premises.mend()
    mended = premises.look()
    if BLOCKING & {finding.trouble for finding in mended.findings}:  # what was mended has brought it to light
        found = _collect(ports(), own_rows=own_rows) if mended.readable else {}
        return _result(ports, mended, found, {MADE_AGAIN: _made_again(standing, mended)})
    reached = ports()
    start = reached.clock()
    work = _Work(reached, release_lost=release_lost)
    work.done["interrupted transfers finished"] += recover(reached)  # what was under way may be in trouble after its end
    for trouble, keys in _collect(reached, own_rows=own_rows).items():
        for batch in batches(keys, reached.chunk):
            work.on(trouble, batch)
    work.refresh()
    premises.mend()  # a foreign key can be made again only once what it forbids is gone
    after = premises.look()
    work.done[MADE_AGAIN] += _made_again(standing, after)
    result = _result(ports, after, _collect(reached, own_rows=own_rows), +work.done)
    return evolve(result, seconds=reached.clock() - start)


def _made_again(before: Standing, after: Standing) -> int:
    """Return how many things `mend` has put right."""
    left = {finding.trouble for finding in after.findings}
    mended = (finding for finding in before.findings if finding.remedy.cure is Cure.MEND and finding.trouble not in left)
    return sum(finding.count for finding in mended)


def _collect(ports: Ports, *, own_rows: bool) -> dict[Trouble, list[Key]]:
    found: dict[Trouble, list[Key]] = {}
    for key, trouble in Walk(ports, own_rows=own_rows).troubles():
        found.setdefault(trouble, []).append(key)
    return found


def _report(ports: Callable[[], Ports], standing: Standing, found: Mapping[Trouble, Keys]) -> DoctorResult:
    findings = list(standing.findings)
    if standing.readable:
        reached = ports()
        findings += transfers(reached)
        findings += counted(reached, ((key, trouble) for trouble, keys in found.items() for key in keys))
    return DoctorResult(findings=tuple(findings), lines=tuple(standing.lines), readable=standing.readable)


def _is_hopeless(report: DoctorResult, *, release_lost: bool) -> bool:
    """Whether there is nothing to do, or outbound is not this link's to write to."""
    troubles = {finding.trouble for finding in report.findings}
    curable = any(finding.remedy.cure is not Cure.LEAVE for finding in report.findings)
    return bool(troubles & BLOCKING) or not (curable or (release_lost and Trouble.LOST_LOCALLY in troubles))


def _result(
    ports: Callable[[], Ports],
    standing: Standing,
    found: Mapping[Trouble, Keys],
    done: Mapping[str, int] | None = None,
) -> RepairResult:
    findings: list[Finding] = list(standing.findings)
    keys: list[tuple[Mapping[str, str], Trouble]] = []
    if standing.readable:
        reached = ports()
        findings += transfers(reached)
        keys = [(reached.local.named(key), trouble) for trouble, kept in found.items() for key in kept]
    return RepairResult(done=dict(done or {}), keys=tuple(keys), findings=tuple(findings), confirmed=done is not None)


@define
class _Work:
    """What is done key by key; `done` says how much of what."""

    ports: Ports
    release_lost: bool
    done: Counter[str] = field(factory=Counter)

    def on(self, trouble: Trouble, keys: Keys) -> None:
        """Do what is to be done about `keys`, as far as a fresh look still shows the trouble."""
        evidence = look(self.ports, keys)
        if trouble is Trouble.UNHELD:
            self._again([key for key, seen in zip(keys, evidence, strict=True) if classify(seen) in HELD])
            return
        judged = judge(self.ports, keys, evidence)
        still = pick(keys, [position for position, now in enumerate(judged) if now is trouble])
        steps: dict[Cure, Callable[[Keys], None]] = {
            Cure.REGISTER_AGAIN: self._again,
            Cure.APPROVE: self._settle,
            Cure.RELEASE: self._release,
            Cure.CLEAR: self._clear,
            Cure.CLEAR_FLAGS: self._clear_flags,
        }
        step = self._settle if trouble is Trouble.LOST_LOCALLY and self.release_lost else steps.get(REMEDIES[trouble].cure)
        if still and step is not None:
            step(still)

    def _again(self, keys: Keys) -> None:
        """Register `keys` under a pull that is undone at once.

        Undoing keeps registered what is local, approves what is requested and not local, and releases the rest: just what
        each of them needs, and just what whoever recovers this transfer does if this run dies.
        """
        transfer = Transfer(operation=Operation.PULL, owner=self.ports.owner)
        try:
            registered = self.ports.outbound.reinstate(transfer, keys)
            outcome = self.ports.local.abandon(transfer)
        except Exception:
            settle_failure(self.ports, transfer)
            raise
        settled = finish(self.ports, transfer, outcome)
        self.done["registered again"] += registered - settled.released - settled.approved
        self._settled(settled)

    def _settle(self, keys: Keys) -> None:
        self._settled(approve_lost(self.ports, keys))

    def _settled(self, settled: Settled) -> None:
        self.done["released"] += settled.released
        self.done["approved"] += settled.approved

    def _release(self, keys: Keys) -> None:
        self.done["released"] += self.ports.outbound.release_withdrawn(keys)

    def _clear(self, keys: Keys) -> None:
        self._release(keys)
        self._settle(keys)

    def _clear_flags(self, keys: Keys) -> None:
        self.done["flags cleared away"] += self.ports.outbound.drop_stray_flags(keys)

    def refresh(self) -> None:
        """Bring the shown requests in line, and answer those whose rows are not local."""
        result = refresh(self.ports)
        self.done["requests shown"] += result.new
        self.done["requests no longer shown"] += result.withdrawn
        self._settled(Settled(released=result.released, approved=result.approved))
