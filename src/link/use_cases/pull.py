"""Bring entities of the source to the local side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from link.domain.errors import KeyConflict, ObjectMissing
from link.domain.keys import pick
from link.domain.planning import Action, Plan, plan_pull
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.looking import look
from link.use_cases.ports import Difference, Ports
from link.use_cases.recovery import approve_lost, finish, recover, settle_failure
from link.use_cases.results import PullResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.domain.errors import ValueNotRepresentable
    from link.domain.keys import Key, Keys
    from link.domain.states import Inconsistency
    from link.use_cases.ports import Page


@define
class _Tally:
    """What has happened so far."""

    pulled: int = 0
    already_local: int = 0
    held_back: int = 0
    busy: int = 0
    released: int = 0
    approved: int = 0
    conflicts: list[Difference] = field(factory=list)
    inconsistent: list[tuple[Key, Inconsistency]] = field(factory=list)
    not_representable: list[ValueNotRepresentable] = field(factory=list)
    objects_missing: list[ObjectMissing] = field(factory=list)


def pull(ports: Ports, selection: object = None) -> PullResult:
    """Pull every entity of `selection` that is not local and whose deletion was not requested; None selects all.

    Chunk by chunk, each a transfer of its own: an error undoes its chunk, leaves the chunks before it, and is raised. An
    entity with a value that the local server cannot hold, or an object that is missing or damaged, is left out and named in
    the result.
    """
    start = ports.clock()
    ports.progress.begin("pull")
    try:
        ports.objects.prepare()
        recovered = recover(ports)
        ports.progress.expect(lambda: ports.source.expected(selection))
        tally = _Tally()
        after: Key | None = None
        while True:
            page = ports.source.page(selection, after, ports.chunk)
            if page.keys:
                _pull_page(ports, page, tally)
                ports.progress.advance(len(page.keys))
                after = page.keys[-1]
            if page.last:
                break
    finally:
        ports.progress.end()
    return PullResult(
        pulled=tally.pulled,
        already_local=tally.already_local,
        held_back=tally.held_back,
        busy=tally.busy,
        recovered=recovered,
        released=tally.released,
        approved=tally.approved,
        conflicts=tuple(tally.conflicts),
        inconsistent=tuple(tally.inconsistent),
        not_representable=tuple(tally.not_representable),
        objects_missing=tuple(tally.objects_missing),
        seconds=ports.clock() - start,
    )


def _pull_page(ports: Ports, page: Page, tally: _Tally) -> None:
    plan = plan_pull(look(ports, page.keys, page.evidence))
    tally.already_local += len(plan[Action.KEEP])
    tally.held_back += len(plan[Action.HOLD_BACK])
    tally.busy += len(plan[Action.WAIT])
    tally.inconsistent += [(page.keys[position], fault) for position, fault in plan.inconsistent]
    _report_conflicts(ports, pick(page.keys, plan[Action.CONFLICT]), tally)
    tally.approved += approve_lost(ports, pick(page.keys, plan[Action.APPROVE])).approved
    withdrawn = pick(page.keys, plan[Action.RELEASE_AND_TAKE])
    if withdrawn:
        tally.released += ports.outbound.release_withdrawn(withdrawn)
    _take(ports, page.keys, plan, tally)


def _report_conflicts(ports: Ports, keys: Keys, tally: _Tally) -> None:
    if keys:
        tally.conflicts += ports.local.difference(ports.source.read(keys))


def _take(ports: Ports, keys: Keys, plan: Plan, tally: _Tally) -> None:
    wanted = sorted([*plan[Action.TAKE], *plan[Action.TAKE_AGAIN], *plan[Action.RELEASE_AND_TAKE]])
    clashing = {wanted[place] for place in ports.local.clashes(pick(keys, wanted))} if wanted else set()
    if clashing:
        chunk = ports.source.read(pick(keys, sorted(clashing)))
        tally.conflicts += [Difference(key=ports.local.named(key), columns=()) for key in chunk.keys]
    lost = set(plan[Action.TAKE_AGAIN])
    taken = [position for position in wanted if position not in clashing]
    if not taken:
        return
    done = 0
    for run in ports.source.split(pick(keys, taken)):
        positions = taken[done : done + len(run)]
        done += len(run)
        fresh = [keys[position] for position in positions if position not in lost]
        again = [keys[position] for position in positions if position in lost]
        _transfer(ports, fresh, again, tally)


def _transfer(ports: Ports, fresh: Keys, lost: Keys, tally: _Tally, *, again: bool = False) -> None:
    """Move one chunk: register, commit locally (the point of decision), close.

    What is closed is decided, so that a local server that has no decision of the last transfer is known to be a backup: a
    chunk of nothing, whose rows others have taken, is abandoned like one that does not fit. Lost rows that another run has
    brought back meanwhile are left out of a second try. Keys may be both fresh and lost, where one cannot know which.
    """
    transfer = Transfer(operation=Operation.PULL, owner=ports.owner)
    unfit: Sequence[tuple[int, ValueNotRepresentable | ObjectMissing]] = ()
    try:
        chunk = ports.outbound.register(transfer, fresh, lost)
        unfit = ports.local.unfit(chunk) if chunk.keys else ()
        if chunk.keys and not unfit:
            chunk, unfit = ports.objects.bring(transfer, chunk)
        fits = bool(chunk.keys) and not unfit
        if fits:
            ports.local.commit_pull(transfer, chunk)
    except Exception as error:
        if settle_failure(ports, transfer) is None:
            if not isinstance(error, KeyConflict) or not lost:
                raise
            returned = set(ports.local.present(lost))
            if again and not returned:
                raise
            tally.already_local += len(returned)
            rest, known = [key for position, key in enumerate(lost) if position not in returned], {*lost}
            _transfer(ports, [*(key for key in fresh if key not in known), *rest], rest, tally, again=True)
            return
    else:
        finish(ports, transfer, Outcome.DONE if fits else ports.local.abandon(transfer))
    tally.busy += len({*fresh, *lost}) - len(chunk.keys)
    if unfit:
        _without_unfit(ports, chunk.keys, lost, unfit, tally)
    else:
        tally.pulled += len(chunk.keys)


def _without_unfit(
    ports: Ports,
    keys: Keys,
    lost: Keys,
    unfit: Sequence[tuple[int, ValueNotRepresentable | ObjectMissing]],
    tally: _Tally,
) -> None:
    """Move a chunk again, without the entities that cannot come along; what was fresh in it is so again."""
    for _, fault in unfit:
        if isinstance(fault, ObjectMissing):
            tally.objects_missing.append(fault)
        else:
            tally.not_representable.append(fault)
    left_out = {keys[position] for position, _ in unfit}
    rest = [key for key in keys if key not in left_out]
    if rest:
        _transfer(ports, rest, [key for key in lost if key not in left_out], tally)
