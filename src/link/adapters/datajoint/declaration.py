"""How the local copies are declared: statements only, to be run one by one, each safe to run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from link.adapters.datajoint import catalog, declaration_mysql, declaration_postgresql, lineage
from link.adapters.datajoint.model import TableModel
from link.adapters.datajoint.refusals import NAME_LIMIT, REQUESTED, REQUESTED_COMMENT
from link.domain.errors import NotLinkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from link.adapters.datajoint.model import Column, EntityModel
    from link.adapters.datajoint.session import Session


class Dialect(Protocol):
    """One backend's DDL."""

    def prepare(self, tables: tuple[TableModel, ...]) -> list[str]:
        """Return what has to be there before the tables (enum types)."""
        ...

    def create(self, table: TableModel, master: TableModel | None) -> list[str]:
        """Return the statements for one table with its indexes and comments; a part gets its foreign key to the master."""
        ...


def _dialect(session: Session, source: str, *, exact_keys: bool = False) -> Dialect:
    if session.backend == "postgresql":
        return declaration_postgresql.Declaration(session=session, source=source)
    return declaration_mysql.Declaration(session=session, source=source, exact_keys=exact_keys)


def renamed(entity: EntityModel, master_name: str) -> EntityModel:
    """Return the entity with another name for the master, and so for its parts."""
    old = entity.master.name
    parts = tuple(evolve(part, name=master_name + part.name[len(old) :]) for part in entity.parts)
    return evolve(entity, master=evolve(entity.master, name=master_name), parts=parts)


def copy_statements(
    entity: EntityModel, session: Session, master_name: str | None = None, *, exact_keys: bool = False
) -> list[str]:
    """Return the DDL of the copies in the local session's schema, master first.

    Not inside a transaction: on the MySQL family each statement commits. Every statement does nothing where its object
    exists, so that a declaration cut short is finished by running all of them again.

    On the MySQL family strings compare as they do at the source, or exactly where the local server has not got that
    collation, but for the key's: a table that DataJoint declares with `-> Copy` gets its schema's default collation, and the
    server refuses the foreign key (3780, 1005) when the two differ. So the key has the schema's default, and so have the
    columns that refer to other keys at the source, since a server does not join across collations (1267). Source keys that
    are equal under it are conflicts, unless `exact_keys` asks for keys as exact as the rest and for no such tables.

    Raises:
        ColumnNotSupported: the local server has no type that holds the column's values.
        NotLinkable: a name or a key is too long for the local server.
    """
    entity = renamed(entity, master_name or entity.master.name)
    _check_names(entity, session)
    dialect = _dialect(session, entity.backend, exact_keys=exact_keys)
    statements = [*dialect.prepare(entity.tables), *dialect.create(entity.master, None)]
    for part in entity.parts:
        statements += dialect.create(part, entity.master)
    return statements


def _check_names(entity: EntityModel, session: Session) -> None:
    limit = NAME_LIMIT[session.backend]
    names = [entity.master.name + REQUESTED]
    names += [name for table in entity.tables for name in (table.name, *(column.name for column in table.columns))]
    for name in names:
        if len(name.encode()) > limit:
            reason = f"the name {name} is longer than the {limit} bytes of the local server"
            raise NotLinkable(table=f"{entity.master.schema}.{entity.master.name}", reason=reason)


def requests_name(entity: EntityModel) -> str:
    """Return the name of the local table that shows lab S's requests."""
    return entity.master.name + REQUESTED


def requests_table(entity: EntityModel) -> TableModel:
    """Return the local part that shows lab S's requests, as a table of the master's key alone."""
    return TableModel(
        schema=entity.master.schema,
        name=requests_name(entity),
        comment=REQUESTED_COMMENT,
        columns=tuple(evolve(column, default=None) for column in entity.master.columns if column.in_key),
        key_order=entity.master.key_order,
    )


def requests_statements(entity: EntityModel, session: Session, *, exact_keys: bool = False) -> list[str]:
    """Return the DDL of the local part `<master>__deletion_requested`; the master must be there, with the same keys."""
    return _dialect(session, entity.backend, exact_keys=exact_keys).create(requests_table(entity), entity.master)


def lineage_statements(entity: EntityModel, session: Session) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the statements that record the copies' lineage as DataJoint does, with their arguments."""
    tables = (*entity.tables, requests_table(entity))
    entries = [(part.name, column.name, column.lineage) for part in tables for column in part.columns if column.lineage]
    table = session.table(lineage.TABLE)
    return [(_lineage_table(table, session), ()), _recording(table, entries, session)]


def other_lineage_statements(session: Session) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the statement that records what DataJoint does not know of the schema's other tables, if there is anything."""
    entries = lineage.missing(session, catalog.of(session))
    return [_recording(session.table(lineage.TABLE), entries, session)] if entries else []


def _recording(table: str, entries: list[tuple[str, str, str]], session: Session) -> tuple[str, tuple[Any, ...]]:
    values = ", ".join(["(%s, %s, %s)"] * len(entries))
    insert = f"INTO {table} (table_name, attribute_name, lineage) VALUES {values}"
    if session.backend == "postgresql":
        upsert = f"INSERT {insert} ON CONFLICT (table_name, attribute_name) DO UPDATE SET lineage = EXCLUDED.lineage"
    else:
        upsert = f"REPLACE {insert}"
    return upsert, tuple(value for entry in entries for value in entry)


def _lineage_table(table: str, session: Session) -> str:
    columns = ", ".join(
        f"{name} VARCHAR({size}) NOT NULL" for name, size in (("table_name", 64), ("attribute_name", 64), ("lineage", 255))
    )
    engine = "" if session.backend == "postgresql" else " ENGINE=InnoDB"
    return f"CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY (table_name, attribute_name)){engine}"


def outbound_columns(key: Sequence[Column], session: Session) -> list[str]:
    """Return the definitions of the key columns, in the key's order, exactly as the source's own.

    On PostgreSQL a comment is a statement of its own: see `outbound_comments`.
    """
    dialect = declaration_postgresql if session.backend == "postgresql" else declaration_mysql
    return [dialect.native_column(column, session) for column in key]


def outbound_comments(master: TableModel, session: Session, table: str) -> list[str]:
    """Return the statements that give outbound's key columns the source's comments; `table` is the quoted full name."""
    if session.backend != "postgresql":
        return []
    return [declaration_postgresql.column_comment(table, session, column.name, column) for column in master.key]
