"""Looking at both servers, which cannot be done at one instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.domain.keys import pick
from link.domain.states import Evidence, Inconsistency, State, classify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.domain.keys import Keys
    from link.use_cases.ports import Ports, SourceEvidence


SURPRISING = {State.LOCAL_ONLY, State.LOST_LOCALLY, *Inconsistency}
"""What is looked at twice before anything is made of it."""


def look(ports: Ports, keys: Keys, source: Sequence[SourceEvidence] | None = None) -> list[Evidence]:
    """Return what both servers say of `keys`, in their order; `source` is what the source has said already.

    A row that another process pulls or deletes between the two looks seems to be local only, or lost. What is local was
    registered before, so a second look at the source after the local one tells.
    """
    evidence = _look_once(ports, keys, ports.outbound.evidence(keys) if source is None else source)
    unsure = [position for position, seen in enumerate(evidence) if classify(seen) in SURPRISING]
    if unsure:
        again = pick(keys, unsure)
        for position, seen in zip(unsure, _look_once(ports, again, ports.outbound.evidence(again)), strict=True):
            evidence[position] = seen
    return evidence


def _look_once(ports: Ports, keys: Keys, source: Sequence[SourceEvidence]) -> list[Evidence]:
    local = set(ports.local.present(keys))
    return [
        Evidence(
            in_source=seen.in_source,
            registered=seen.registered,
            in_local=position in local,
            requested=seen.requested,
            approved=seen.approved,
            transfer=seen.transfer,
        )
        for position, seen in enumerate(source)
    ]
