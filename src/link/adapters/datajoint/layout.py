"""The tables that Link keeps in other people's databases: names, columns, and the statements that make them.

At the source, in the outbound schema (all tables of one such schema share the first two):

| table | one row a | columns |
|---|---|---|
| `~link_journal` | transfer | transfer, owner, link, operation, entities, opened, closed, who, version |
| `~link_outbound` | outbound table | outbound_table, link, source_schema, source_table, local_server, … |
| `<x>_outbound` | registered entity | the source's key, link_transfer (last), link_held (registering; NULL: approved) |
| `<x>_outbound__deletion_requested` | request of lab S | the source's key |
| `<x>_outbound__deletion_approved` | answer of lab L | the source's key |
| `~<x>_outbound_guard` | held entity, on a stock MySQL only | the source's key, and again as link_self_0, … |

On the local side, in the local schema:

| table | one row a | columns |
|---|---|---|
| `~link_decisions` | decided transfer, for ever | transfer, link, outcome, decided |
| `~link_tables` | linked table | table_name, link, server, source, outbound, model, made |
| `link_objects_in_flight` | object of a transfer under way, or decided of late | transfer, number, hashed, placed, holder |

The last one, which only schemas with stored objects have, is an ordinary table to DataJoint, so that its garbage collection
reads it: `hashed` and `placed` are marked as columns with a store. Names that start with a tilde are hidden from DataJoint's
listings. No other column has a DataJoint mark in its comment but the keys, which are declared exactly as the source declares
them: whoever can read the source can read outbound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from link.domain.errors import NotLinkable

if TYPE_CHECKING:
    from link.adapters.datajoint.model import TableModel
    from link.adapters.datajoint.session import Session

LAYOUT = 1
"""The version of this layout, kept in `~link_outbound`."""

JOURNAL = "~link_journal"
REGISTRY = "~link_outbound"
DECISIONS = "~link_decisions"
TABLES = "~link_tables"
IN_FLIGHT = "link_objects_in_flight"
TRANSFER = "link_transfer"
HELD = "link_held"
SELF = "link_self_"
"""Begins the names of the columns by which a guard row refers to itself."""

_TYPES = {
    "postgresql": {"id": "uuid", "time": "timestamptz", "count": "bigint", "text": "text", "end": ""},
    "mysql": {
        "id": "binary(16)",
        "time": "datetime(6)",
        "count": "bigint",
        "text": "longtext",
        "end": " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
    },
}


@frozen(kw_only=True)
class OutboundNames:
    """The names of one link's tables in the outbound schema."""

    master: str

    @classmethod
    def of(cls, source: TableModel) -> OutboundNames:
        """Name outbound after the source table, its tier's prefix aside."""
        taken = {column.name for column in source.key if column.name in {TRANSFER, HELD} or column.name.startswith(SELF)}
        if taken:
            raise NotLinkable(table=source.name, reason=f"its key has a column named {taken.pop()}, which Link needs")
        return cls(master=f"{source.name.lstrip('#_')}_outbound")

    @property
    def requested(self) -> str:
        return f"{self.master}__deletion_requested"

    @property
    def approved(self) -> str:
        return f"{self.master}__deletion_approved"

    @property
    def all(self) -> tuple[str, str, str]:
        """Outbound and its flags."""
        return self.master, self.requested, self.approved

    @property
    def guard(self) -> str:
        """The guard's own table, where the server lets the link user have no trigger."""
        return f"~{self.master}_guard"


def _create(session: Session, name: str, columns: str) -> str:
    types = _TYPES[session.backend]
    return f"CREATE TABLE IF NOT EXISTS {session.table(name)} ({columns.format(**types)}){types['end']}"


def journal(session: Session) -> list[str]:
    """Make the journal and the registry of outbound tables."""
    return [
        _create(
            session,
            JOURNAL,
            "transfer {id} NOT NULL PRIMARY KEY, owner {id} NOT NULL, link {id} NOT NULL, operation varchar(8) NOT NULL,"
            " entities {count} NOT NULL, opened {time} NOT NULL, closed {time} NULL, who varchar(255) NOT NULL,"
            " version varchar(64) NOT NULL",
        ),
        _create(
            session,
            REGISTRY,
            "outbound_table varchar(64) NOT NULL PRIMARY KEY, link {id} NOT NULL, source_schema varchar(64) NOT NULL,"
            " source_table varchar(64) NOT NULL, local_server varchar(255) NOT NULL, local_table varchar(255) NOT NULL,"
            " guard varchar(8) NOT NULL, layout {count} NOT NULL, made {time} NOT NULL",
        ),
    ]


def journal_index(session: Session) -> str:
    """Index a link's open transfers and its last closed one: a journal grows for years, and only these are asked for."""
    once = "IF NOT EXISTS " if session.backend == "postgresql" else ""
    return f"CREATE INDEX {once}{session.quote('~link_journal_closed')} ON {session.table(JOURNAL)} (link, closed)"


def outbound(session: Session, names: OutboundNames, source: TableModel, columns: list[str]) -> list[str]:
    """Make outbound and its flag parts; `columns` declare the key exactly as the source does."""
    id_type = _TYPES[session.backend]["id"]
    keys = ", ".join(session.quote(column.name) for column in source.key)
    extra = [f"{TRANSFER} {id_type} NOT NULL", f"{HELD} {id_type} NULL"]
    master = _keyed(session, names.master, [*columns, *extra], keys, session.table(source.name, source.schema))
    flags = (_keyed(session, name, columns, keys, session.table(names.master)) for name in (names.requested, names.approved))
    return [master, *flags]


def foreign_key(session: Session, keys: str, parent: str, columns: str = "") -> str:
    """Return the clause that ties `columns`, else the key columns, to a parent's key, and lets nothing cascade."""
    rule = "NO ACTION" if session.backend == "postgresql" else "RESTRICT"
    return f"FOREIGN KEY ({columns or keys}) REFERENCES {parent} ({keys}) ON UPDATE {rule} ON DELETE {rule}"


def _keyed(session: Session, name: str, columns: list[str], keys: str, parent: str) -> str:
    parts = [*columns, f"PRIMARY KEY ({keys})", foreign_key(session, keys, parent)]
    if session.backend == "mysql" and name.endswith("_outbound"):
        parts += [f"INDEX ({TRANSFER})", f"INDEX ({HELD})"]
    return f"CREATE TABLE IF NOT EXISTS {session.table(name)} ({', '.join(parts)}){_TYPES[session.backend]['end']}"


def outbound_indexes(session: Session, names: OutboundNames) -> list[str]:
    """Index the transfer of outbound where CREATE TABLE could not."""
    if session.backend == "mysql":
        return []
    name = session.quote(f"{names.master[:50]}_transfer")
    return [f"CREATE INDEX IF NOT EXISTS {name} ON {session.table(names.master)} ({TRANSFER})"]


def local(session: Session) -> list[str]:
    """Make the decisions and the register of linked tables."""
    return [
        _create(
            session,
            DECISIONS,
            "transfer {id} NOT NULL PRIMARY KEY, link {id} NOT NULL, outcome varchar(9) NOT NULL, decided {time} NOT NULL",
        ),
        _create(
            session,
            TABLES,
            "table_name varchar(64) NOT NULL PRIMARY KEY, link {id} NOT NULL, server varchar(255) NOT NULL,"
            " source varchar(255) NOT NULL, outbound varchar(255) NOT NULL, model {text} NOT NULL, made {time} NOT NULL",
        ),
    ]


def in_flight(session: Session) -> list[str]:
    """Make the record of objects on their way; its marks are what DataJoint's garbage collection goes by."""
    comments = {"hashed": ":<hash@link>:a content-addressed object", "placed": ":<object@link>:a file or folder"}
    postgresql = session.backend == "postgresql"
    told = "objects that Link is bringing; protects them from garbage collection"
    columns = ", ".join(
        f"{name} jsonb NULL" if postgresql else f"{name} json NULL COMMENT '{comment}'" for name, comment in comments.items()
    )
    made = _create(
        session,
        IN_FLIGHT,
        f"transfer varchar(32) NOT NULL, number int NOT NULL, {columns}, holder varchar(255) NOT NULL,"
        " PRIMARY KEY (transfer, number)",
    )
    if not postgresql:
        return [f"{made} COMMENT='{told}'"]
    table = session.table(IN_FLIGHT)
    described = [f"COMMENT ON COLUMN {table}.{name} IS '{comment}'" for name, comment in comments.items()]
    return [made, f"COMMENT ON TABLE {table} IS '{told}'", *described]
