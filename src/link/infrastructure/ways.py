"""Every way to write to a linked table, and what becomes of it: one table of data for code, tests and documentation."""

from __future__ import annotations

PULL = "Pull the rows from the source with pull()."
DELETE = "Use delete() on the linked table: it tells the source."
ALLOW = "Pass allow_direct_insert=True to Link to insert rows of your own; pull() then reports them as conflicts."

PROTOCOL = ("pull", "delete", "refresh", "drop", "adopt")
"""Go through the protocol."""

DIRECT = {"insert": ALLOW, "insert1": ALLOW}
"""Allowed with `allow_direct_insert=True`, refused otherwise."""

REFUSED = {
    "insert_dataframe": ALLOW,
    "staged_insert1": ALLOW,
    "update1": "Change the row at the source, delete() the local one and pull() again.",
    "delete_quick": DELETE,
    "drop_quick": "Use drop() on the linked table: it releases its rows.",
    "alter": "The source's declaration decides; drop() and link again to follow a change.",
    "declare": "The table is declared from the source on first use.",
    "populate": PULL,
    "make": PULL,
}
"""Refused on the linked table."""

REFUSED_ON_PARTS = {**REFUSED, "insert": PULL, "insert1": PULL, "delete": DELETE, "drop": "Use drop() on the master."}
"""Refused on a part of a linked table: parts come and go with their masters."""
