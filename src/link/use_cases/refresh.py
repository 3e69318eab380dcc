"""Show on the local side what lab S wants gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.domain.keys import batches, pick
from link.use_cases.recovery import approve_lost, pages, recover, release_withdrawn
from link.use_cases.results import RefreshResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.domain.keys import Keys
    from link.use_cases.ports import Ports


def refresh(ports: Ports) -> RefreshResult:
    """Bring the requests shown locally in line with the source's: add new ones, drop withdrawn ones.

    On the way, requested rows that are not local any more are approved, and withdrawn approvals are released.
    """
    start = ports.clock()
    recovered = recover(ports)
    released = release_withdrawn(ports)
    withdrawn = _drop_withdrawn(ports)
    requested = new = approved = 0
    for keys in pages(ports, ports.outbound.requested):
        here = ports.local.present(keys)
        new += ports.local.change_requests(pick(keys, here), ())
        requested += len(here)
        approved += _approve(ports, keys, here)
    return RefreshResult(
        requested=requested,
        new=new,
        withdrawn=withdrawn,
        approved=approved,
        released=released,
        recovered=recovered,
        seconds=ports.clock() - start,
    )


def _drop_withdrawn(ports: Ports) -> int:
    dropped = 0
    for keys in batches(ports.local.requests(), ports.chunk):
        seen = ports.outbound.evidence(keys)
        gone = [key for key, evidence in zip(keys, seen, strict=True) if not evidence.requested]
        if gone:
            ports.local.change_requests((), gone)
        dropped += len(gone)
    return dropped


def _approve(ports: Ports, keys: Keys, here: Sequence[int]) -> int:
    """Approve those of `keys` that are not at the positions `here` and that no transfer is at work on."""
    away = [key for position, key in enumerate(keys) if position not in set(here)]
    if not away:
        return 0
    seen = ports.outbound.evidence(away)
    settled = [key for key, evidence in zip(away, seen, strict=True) if evidence.transfer is None]
    return approve_lost(ports, settled).approved
