"""Whether the local server has decided its link's last transfer; a backup has not, nor has a copy of the server's very files.

Every closed transfer was decided on the local server first. Where the last one was not decided here, another copy of the
local table works under the same identity, or what this server had committed is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint.decisions import decide, decided
from link.adapters.datajoint.dialect import dialect, read_id
from link.adapters.datajoint.layout import JOURNAL
from link.adapters.datajoint.linking import table_exists
from link.domain.errors import LocalSideBehind
from link.domain.transfers import Outcome

if TYPE_CHECKING:
    from uuid import UUID

    from link.adapters.datajoint.linking import Linked
    from link.adapters.datajoint.session import Session


def refuse_behind(source: Session, local: Session, linked: Linked) -> None:
    """Raise `LocalSideBehind` where the local server has not decided the link's last closed transfer."""
    found = _last_closed(source, linked.link)  # first: what is closed there by now is decided here
    if found is not None and decided(local, found[0]) is None:
        table = f"{local.schema}.{linked.table}"
        raise LocalSideBehind(table=table, transfer=str(found[0]), who=found[1], closed=found[2])


def catch_up(source: Session, local: Session, linked: Linked) -> None:
    """Enter the link's last closed transfer as decided here, so that this is the copy that goes on."""
    found = _last_closed(source, linked.link) if table_exists(source, JOURNAL) else None
    if found is not None and decided(local, found[0]) is None:
        decide(local, linked.link, found[0], Outcome.DONE)


def _last_closed(source: Session, link: UUID) -> tuple[UUID, str, str] | None:
    """Return the transfer, who made it, and when it was closed."""
    speech = dialect(source)
    found = source.query(
        f"SELECT transfer, who, closed FROM {source.table(JOURNAL)} WHERE link = {speech.uuid} AND closed IS NOT NULL"
        " ORDER BY closed DESC LIMIT 1",
        (speech.id(link),),
    )
    return next(((read_id(transfer), who, f"{closed:%Y-%m-%d %H:%M:%S} UTC") for transfer, who, closed in found), None)
