"""Finishing what was interrupted, and finishing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.domain.errors import Busy
from link.domain.planning import gives_up_registrations
from link.domain.transfers import Operation, Outcome, Transfer
from link.use_cases.ports import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from link.domain.keys import Key, Keys
    from link.use_cases.ports import Ports


def recover(ports: Ports) -> int:
    """Finish or undo this link's open transfers whose owners are gone; return how many those were.

    A transfer whose owner shows to be alive is left alone out of politeness. What makes it safe is the record on the local
    server: after `abandoned` the owner can never commit.
    """
    recovered = 0
    for found in ports.outbound.open_transfers():
        transfer = found.transfer
        if transfer.owner == ports.owner or ports.outbound.is_alive(transfer) or ports.local.is_alive(transfer):
            continue
        try:
            outcome = ports.local.abandon(transfer)
        except Busy:
            continue
        finish(ports, transfer, outcome)
        recovered += 1
    return recovered


def finish(ports: Ports, transfer: Transfer, outcome: Outcome) -> Settled:
    """Roll a decided transfer forward or an abandoned one back, and close it; anybody may do so, at any time, twice.

    No registration is given up before a look at the local table, after the decision.
    """
    settled = Settled()
    if gives_up_registrations(transfer.operation, outcome):
        for keys in pages(ports, lambda after, limit: ports.outbound.rows(transfer, after, limit)):
            still = set(ports.local.present(keys))
            gone = [key for position, key in enumerate(keys) if position not in still]
            part = ports.outbound.give_up(transfer, gone)
            if part is None:
                return settled
            settled += part
    ports.outbound.close(transfer)
    return settled


def settle_failure(ports: Ports, transfer: Transfer) -> Settled | None:
    """Find out what became of one's own transfer after an error, and finish it.

    Returns what finishing settled where the transfer was done after all (a reply was lost), and None where it was not, or
    where finding out or finishing is out of reach too: then the error that led here is the one to raise.
    """
    try:
        outcome = ports.local.abandon(transfer)
        settled = finish(ports, transfer, outcome)
    except Exception:  # noqa: BLE001 - the error that led here says more, and the next operation resumes
        return None
    return settled if outcome is Outcome.DONE else None


def approve_lost(ports: Ports, keys: Keys) -> Settled:
    """Approve requested rows that are not local any more, through a delete transfer that finds nothing to delete.

    Those that somebody else is at work on, or that have come back, are left as they are.
    """
    if not keys:
        return Settled()
    transfer = Transfer(operation=Operation.DELETE, owner=ports.owner)
    try:
        ports.outbound.mark(transfer, keys)
        ports.local.commit_delete(transfer, (), None)
    except Exception:
        settled = settle_failure(ports, transfer)
        if settled is None:
            raise
        return settled
    return finish(ports, transfer, Outcome.DONE)


def release_withdrawn(ports: Ports) -> int:
    """Release the approvals whose requests were withdrawn; return how many."""
    released = 0
    for keys in pages(ports, ports.outbound.withdrawn):
        there = set(ports.local.present(keys))
        released += ports.outbound.release_withdrawn([key for n, key in enumerate(keys) if n not in there])
    return released


def pages(ports: Ports, read: Callable[[Key | None, int], Keys]) -> Iterator[Keys]:
    """Yield pages of keys, each after the last key of the one before, so that rows may vanish behind."""
    after: Key | None = None
    while True:
        keys = read(after, ports.chunk)
        if keys:
            yield keys
            after = keys[-1]
        if len(keys) < ports.chunk:
            return
