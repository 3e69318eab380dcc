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

from link.adapters.datajoint import layout, linking
from link.adapters.datajoint.dialect import dialect
from link.adapters.datajoint.model import Addressing
from link.domain.transfers import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from link.adapters.datajoint.objects import Entry
    from link.adapters.datajoint.session import Session
    from link.domain.transfers import Transfer

GRACE = 3600
"""Seconds; no garbage collection takes longer from its reading of one table to that of another."""
_ROWS = 2_000


def record(session: Session, transfer: Transfer, entries: Iterable[Entry]) -> None:
    """Enter the objects of a transfer, before any of them is written; in one transaction."""
    rows = [(transfer.id.hex, number, *_columns(entry), entry.holder) for number, entry in enumerate(entries)]
    table = session.table(layout.IN_FLIGHT)
    with session.transaction("of the record of objects"):
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            values = ", ".join(["(%s, %s, %s, %s, %s)"] * len(part))
            session.query(
                f"INSERT INTO {table} (transfer, number, hashed, placed, holder) VALUES {values}",
                [value for row in part for value in row],
            )


def _columns(entry: Entry) -> tuple[str | None, str | None]:
    facts = json.dumps({"path": entry.path, "store": entry.store, **({"parts": True} if entry.in_parts else {})})
    return (facts, None) if entry.addressing is Addressing.HASH else (None, facts)


def settle(session: Session, drop_parts: Callable[[str, str], bool]) -> int:
    """Strike out the records of transfers that were decided long ago; return how many objects those were.

    What is named by a column that garbage collections do not count stays as long as it is. `drop_parts` is called with store
    and path of each object that an undone transfer may have sent a part of; where it returns False the transfer stays too.
    """
    table = session.table(layout.IN_FLIGHT)
    known = [str(row[0]) for row in session.query(f"SELECT DISTINCT transfer FROM {table}")]
    decided = {name: outcome for name in known if (outcome := _decided(session, name))}
    busy = {place for name in set(known) - set(decided) for place in _in_parts(session, table, name)}
    undone = {name: _in_parts(session, table, name) for name, outcome in decided.items() if outcome is Outcome.ABANDONED}
    kept = {name for name, places in undone.items() if not all(drop_parts(*place) for place in places - busy)}
    old = [name for name in decided if name not in kept]
    struck = sum(session.change(f"DELETE FROM {table} WHERE transfer = %s AND holder = ''", (name,)) for name in old)
    return struck + _let_go(session, table, old)


def _decided(session: Session, name: str) -> Outcome | None:
    """Return what was decided long ago of a transfer."""
    speech = dialect(session)
    found: list[Any] = session.query(
        f"SELECT outcome FROM {session.table(layout.DECISIONS)} WHERE transfer = {speech.uuid} AND decided < {speech.ago}",
        (speech.id(UUID(hex=name)), GRACE),
    )
    return Outcome(found[0][0]) if found else None


def _in_parts(session: Session, table: str, name: str) -> set[tuple[str, str]]:
    """Return store and path of the objects of a transfer that are sent in parts."""
    rows = session.query(f"SELECT COALESCE(hashed, placed) FROM {table} WHERE transfer = %s", (name,))
    return {_place(facts) for (facts,) in rows if "parts" in _read(facts)}


def _let_go(session: Session, table: str, transfers: Sequence[str]) -> int:
    """Strike out what its holder does not name any more."""
    struck = 0
    for (holder,) in session.query(f"SELECT DISTINCT holder FROM {table} WHERE holder <> ''"):
        named = _named(session, *holder.split("."))
        held = session.query(f"SELECT transfer, number, COALESCE(hashed, placed) FROM {table} WHERE holder = %s", (holder,))
        gone = [(transfer, n) for transfer, n, facts in held if transfer in transfers and _place(facts) not in named]
        for place in gone:
            struck += session.change(f"DELETE FROM {table} WHERE transfer = %s AND number = %s", place)
    return struck


def _named(session: Session, table: str, column: str) -> set[tuple[str, str]]:
    if not linking.table_exists(session, table):
        return set()
    name = session.quote(column)
    return {_place(row[0]) for row in session.query(f"SELECT {name} FROM {session.table(table)} WHERE {name} IS NOT NULL")}


def _place(facts: Any) -> tuple[str, str]:
    found = _read(facts)
    return found["store"], found["path"]


def _read(facts: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(facts) if isinstance(facts, (str, bytes)) else facts
    return read
