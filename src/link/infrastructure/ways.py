"""Every way to write to a linked table, and what becomes of it: one table of data for code, tests and documentation.

Each method that DataJoint gives a table is in exactly one of these sets; a test sees to it that a new one is put into its
place before it can be called.
"""

from __future__ import annotations

PULL = "Pull the rows from the source with pull()."
DELETE = "Use delete() on the linked table: it tells the source."
DROP = "Use drop() on the linked table: it releases its rows."
ALLOW = "Pass allow_direct_insert=True to Link to insert rows of your own; pull() then reports them as conflicts."
REPLACE = "Rows of a linked table are never replaced; delete() the row, which tells the source, then insert yours."
INSERT = "Use insert(), which Link allows with allow_direct_insert=True."
BROWSE = "The source is lab S's: here it can be browsed and pulled from."

PROTOCOL = ("pull", "delete", "refresh", "drop", "adopt", "doctor", "repair", "verify")
"""Go through the protocol."""

DIRECT = ("insert", "insert1")
"""Allowed with `allow_direct_insert=True` and without `replace=True`, refused otherwise."""

REFUSED = {
    "insert_dataframe": INSERT,
    "staged_insert1": INSERT,
    "update1": "Change the row at the source, delete() the local one and pull() again.",
    "delete_quick": DELETE,
    "drop_quick": DROP,
    "alter": "The source's declaration decides; drop() and link again to follow a change.",
    "declare": "The table is declared from the source on first use.",
    "populate": PULL,
    "make": PULL,
    "jobs": PULL,
}
"""Refused on the linked table."""

REFUSED_ON_PARTS = {**REFUSED, "insert": PULL, "insert1": PULL, "delete": DELETE, "drop": DROP}
"""Refused on a part of a linked table: parts come and go with their masters."""

REFUSED_ON_SOURCE = dict.fromkeys(REFUSED_ON_PARTS, BROWSE)
"""Refused on the source table."""

PROPERTIES = frozenset({"staged_insert1", "jobs"})
"""Used without a call, and refused when they are read."""

READING = frozenset(
    {
        *("adapter", "aggr", "aggregate", "ancestors", "children", "class_name", "connection", "cursor", "database"),
        *("declaration_context", "definition", "descendants", "describe", "extend", "fetch", "fetch1", "from_clause"),
        *("full_table_name", "get_select_fields", "head", "heading", "is_declared", "join", "keys", "make_sql"),
        *("make_subquery", "original_heading", "parents", "parts", "preview", "primary_key", "proj", "restrict"),
        *("restrict_in_place", "restriction", "restriction_attributes", "sorting_clauses", "source", "support"),
        *("table_name", "tail", "tier_regexp", "to_arrays", "to_arrow", "to_dicts", "to_pandas", "to_polars", "validate"),
        "where_clause",
        *("key_source", "progress", "upstream"),  # of tables that are populated, which a linked table is not
    }
)
"""Read, and work as DataJoint's."""

OF_THE_CLASS = frozenset({"connection", "database", "declaration_context", "definition", "full_table_name", "table_name"})
"""Known to DataJoint's classes by themselves; everything else, called on the class, is called on an instance of it."""
