"""Remove entities from the local side, and tell the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.domain.errors import Busy, InconsistentState
from link.domain.keys import batches, pick
from link.domain.planning import Action, Plan, plan_delete
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.looking import look
from link.use_cases.ports import Settled
from link.use_cases.recovery import approve_lost, finish, recover, release_withdrawn, settle_failure
from link.use_cases.results import DeleteResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.domain.keys import Keys
    from link.use_cases.ports import Page, Ports, Removal


def delete(ports: Ports, selection: object, confirm: Callable[[Removal], bool]) -> DeleteResult:
    """Delete the local entities of `selection` with all that depends on them, in one transaction.

    `confirm` is shown what goes, before anything is written anywhere; False ends it with a result of 0. Rows whose deletion
    lab S has requested are approved, the others are released. Raises `Busy` and `InconsistentState` before writing.
    """
    start = ports.clock()
    recovered = recover(ports)
    keys = ports.local.select(selection)
    _plan(ports, keys)
    removal = ports.local.preview(keys)
    if not keys or not confirm(removal):
        return DeleteResult(0, recovered=recovered, seconds=ports.clock() - start)
    marked = pick(keys, _plan(ports, keys)[Action.REMOVE])
    removed, settled = _delete(ports, keys, marked, removal)
    return DeleteResult(
        next(iter(removed.counts.values())),
        released=settled.released,
        approved=settled.approved,
        recovered=recovered,
        removal=removed.counts,
        seconds=ports.clock() - start,
    )


def release_lost(ports: Ports) -> Settled:
    """Give up every registration of an entity that is not local, as a link that ends has to; requested ones are approved.

    Raises `Busy` where another transfer is at work on some.
    """
    release_withdrawn(ports)
    settled, after = Settled(), None
    while True:
        page = ports.inspector.registrations(after, ports.chunk)
        settled += _release_page(ports, page)
        if page.last:
            return settled
        after = page.keys[-1]


def _release_page(ports: Ports, page: Page) -> Settled:
    busy = [key for key, seen in zip(page.keys, page.evidence, strict=True) if seen.transfer is not None]
    if busy:
        raise _busy(ports, busy)
    held = [key for key, seen in zip(page.keys, page.evidence, strict=True) if seen.registered and not seen.approved]
    return approve_lost(ports, held)


def _plan(ports: Ports, keys: Keys) -> Plan:
    """Decide from fresh evidence what is to be done with `keys`; raise where something stands in the way."""
    evidence = []
    for batch in batches(keys, ports.chunk):
        evidence += look(ports, batch)
    plan = plan_delete(evidence)
    if plan[Action.WAIT]:
        raise _busy(ports, pick(keys, plan[Action.WAIT]))
    if plan.inconsistent:
        raise InconsistentState(
            keys=[ports.local.named(keys[position]) for position, _ in plan.inconsistent],
            faults=[fault.value for _, fault in plan.inconsistent],
        )
    return plan


def _busy(ports: Ports, keys: Keys) -> Busy:
    first = next(iter(ports.outbound.open_transfers()), None)
    return Busy(
        what_is_busy="What is to be deleted",
        who=first.who if first else "another link or a transfer just closed",
        since=f"{first.opened:%Y-%m-%d %H:%M:%S} UTC" if first else "a moment ago",
        keys=[ports.local.named(key) for key in keys[:5]],
    )


def _delete(ports: Ports, keys: Keys, marked: Keys, confirmed: Removal) -> tuple[Removal, Settled]:
    """Mark, commit locally (the point of decision), finish."""
    if not marked:
        return ports.local.commit_delete(None, keys, confirmed), Settled()
    transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
    try:
        _mark(ports, transfer, marked)
        removed = ports.local.commit_delete(transfer, keys, confirmed)
    except Exception:
        settled = settle_failure(ports, transfer)
        if settled is None:
            raise
        return confirmed, settled
    return removed, finish(ports, transfer, Outcome.DONE)


def _mark(ports: Ports, transfer: Transfer, keys: Keys) -> None:
    for batch in batches(keys, ports.chunk):
        if ports.outbound.mark(transfer, batch) != len(batch):
            raise _busy(ports, batch)
