"""The record of objects on their way, in a table that DataJoint's garbage collection reads.

`dj.gc` removes what lies in a schema's sections of a store and is named by no column with a store codec. It reads the tables
first and lists the store then, so an object has to be named before it is written and until long after the row that names it
is committed: a collection at work may have read the one table before and the other one after. So the record of a transfer
stays for `GRACE` after its decision, whatever that was; then an object of an undone transfer is DataJoint's to remove.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from link.adapters.datajoint import layout
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.model import Addressing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from link.adapters.datajoint.session import Session
    from link.adapters.datajoint.stores import Store
    from link.domain.transfers import Transfer

GRACE = 3600
"""Seconds; no garbage collection takes longer from its reading of one table to that of another."""
_ROWS = 2_000


def record(session: Session, transfer: Transfer, objects: Iterable[tuple[Store, str, Addressing]]) -> None:
    """Enter the objects of a transfer, before any of them is written; in one transaction."""
    rows = [
        (transfer.id.hex, number, *_columns(store.name, path, addressing))
        for number, (store, path, addressing) in enumerate(objects)
    ]
    table = session.table(layout.IN_FLIGHT)
    with session.transaction("of the record of objects"):
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            values = ", ".join(["(%s, %s, %s, %s)"] * len(part))
            session.query(
                f"INSERT INTO {table} (transfer, number, hashed, placed) VALUES {values}",
                [value for row in part for value in row],
            )


def _columns(store: str, path: str, addressing: Addressing) -> tuple[str | None, str | None]:
    facts = json.dumps({"path": path, "store": store})
    return (facts, None) if addressing is Addressing.HASH else (None, facts)


def settle(session: Session) -> int:
    """Strike out the records of transfers that were decided long ago; return how many objects those were."""
    table = session.table(layout.IN_FLIGHT)
    known = [str(row[0]) for row in session.query(f"SELECT DISTINCT transfer FROM {table}")]
    old = [name for name in known if _is_decided(session, name)]
    return sum(session.change(f"DELETE FROM {table} WHERE transfer = %s", (name,)) for name in old)


def _is_decided(session: Session, name: str) -> bool:
    speech = dialect(session)
    found: list[Any] = session.query(
        f"SELECT 1 FROM {session.table(layout.DECISIONS)} WHERE transfer = {speech.uuid} AND decided < {speech.ago}",
        (speech.id(UUID(hex=name)), GRACE),
    )
    return bool(found)
