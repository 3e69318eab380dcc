"""Transfers that registered rows are under and that the journal has lost: found, and entered again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.layout import JOURNAL, TRANSFER
from link.domain.transfers import Operation

if TYPE_CHECKING:
    from uuid import UUID

    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.session import Session

WHO = "repair(), because the journal had lost it"


def _lost(session: Session, names: OutboundNames) -> str:
    return (
        f"{session.table(names.master)} o LEFT JOIN {session.table(JOURNAL)} j ON j.transfer = o.{TRANSFER}"
        " WHERE j.transfer IS NULL"
    )


def lost_transfers(session: Session, names: OutboundNames) -> tuple[int, int]:
    """Count them and the rows under them, which are busy for ever: nobody can tell that their transfers are closed."""
    transfers, rows = session.query(f"SELECT COUNT(DISTINCT o.{TRANSFER}), COUNT(*) FROM {_lost(session, names)}")[0]
    return int(transfers), int(rows)


def enter_again(session: Session, names: OutboundNames, link: UUID, version: str) -> None:
    """Enter them as open pulls of nobody alive, for recovery to finish as any other.

    Whatever they were, that keeps every row registered that is local: a pull that is done gives nothing up, and one that is
    undone only what is not local. An owner that lives all the same cannot commit after that.
    """
    speech = dialect(session)
    session.query(
        f"INSERT INTO {session.table(JOURNAL)} (transfer, owner, link, operation, entities, opened, who, version)"
        f" SELECT o.{TRANSFER}, {speech.uuid}, {speech.uuid}, %s, COUNT(*), {speech.now}, %s, %s"
        f" FROM {_lost(session, names)} GROUP BY o.{TRANSFER}",
        (speech.id(uuid4()), speech.id(link), Operation.PULL.value, WHO, version),
    )
