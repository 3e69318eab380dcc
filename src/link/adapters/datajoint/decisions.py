"""What the local server has decided about transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.layout import DECISIONS
from link.domain.transfers import Outcome

if TYPE_CHECKING:
    from uuid import UUID

    from link.adapters.datajoint.session import Session


def decide(session: Session, link: UUID, transfer: UUID, outcome: Outcome) -> None:
    """Enter a decision; the primary key lets only the first one of a transfer in."""
    speech = dialect(session)
    session.query(
        f"INSERT INTO {session.table(DECISIONS)} (transfer, link, outcome, decided)"
        f" VALUES ({speech.uuid}, {speech.uuid}, %s, {speech.now})",
        (speech.id(transfer), speech.id(link), outcome.value),
    )


def decided(session: Session, transfer: UUID) -> Outcome | None:
    """Return what was decided about a transfer; None where nothing was."""
    speech = dialect(session)
    found = session.query(
        f"SELECT outcome FROM {session.table(DECISIONS)} WHERE transfer = {speech.uuid}", (speech.id(transfer),)
    )
    return Outcome(found[0][0]) if found else None
