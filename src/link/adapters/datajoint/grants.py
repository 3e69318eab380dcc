"""What lab S's own users need on outbound so that their deletes keep working (PostgreSQL), and who is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint.line import set_up_alone
from link.domain.errors import PrivilegeMissing

if TYPE_CHECKING:
    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.model import TableModel
    from link.adapters.datajoint.session import Session


def look_after(session: Session, names: OutboundNames, source: TableModel) -> None:
    """Let exactly those who may delete from the source read outbound and delete from it; the guard decides what goes.

    On PostgreSQL, DataJoint's delete fails for a user who cannot see a table that depends on the source, for unshared rows
    too. MySQL has no such trouble, and no rights that the link user could pass on.
    """
    if not left_out(session, names, source):
        return
    with set_up_alone(session):
        for role in left_out(session, names, source):
            _grant(session, names, role)


def left_out(session: Session, names: OutboundNames, source: TableModel) -> list[str]:
    """Return the roles that may delete from the source, but not from outbound, where that is the link user's to change."""
    if session.backend != "postgresql":
        return []
    rows = session.query(
        "WITH source AS (SELECT c.relowner, c.relacl FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s),"
        " deleters AS (SELECT relowner AS id FROM source UNION"
        " SELECT acl.grantee FROM source, aclexplode(relacl) acl WHERE acl.privilege_type = 'DELETE')"
        " SELECT CASE WHEN d.id = 0 THEN 'public' ELSE r.rolname END FROM deleters d LEFT JOIN pg_roles r ON r.oid = d.id"
        " WHERE NOT (SELECT bool_and(CASE WHEN d.id = 0 THEN has_table_privilege('public', t.name, 'DELETE')"
        " ELSE has_table_privilege(d.id, t.name::regclass, 'DELETE') AND has_schema_privilege(d.id, %s, 'USAGE') END)"
        " FROM unnest(%s::text[]) t(name))",
        (source.schema, source.name, session.schema, [_plain(session, name) for name in names.all]),
    )
    return [str(row[0]) for row in rows]


def _plain(session: Session, name: str) -> str:
    return session.table(name).replace("%%", "%")


def statements(session: Session, names: OutboundNames, role: str) -> list[str]:
    """Return what gives a role of lab S all it needs on outbound, the schema first."""
    to = "PUBLIC" if role == "public" else session.quote(role)
    tables = ", ".join(session.table(name) for name in names.all)
    return [
        f"GRANT USAGE ON SCHEMA {session.quote(session.schema)} TO {to}",
        f"GRANT SELECT, DELETE ON {tables} TO {to}",
        f"GRANT INSERT ON {session.table(names.requested)} TO {to}",
        f"GRANT SELECT ON {session.table('~lineage')} TO {to}",
    ]


def _grant(session: Session, names: OutboundNames, role: str) -> None:
    usage, *others = statements(session, names, role)
    session.query(usage)
    allowed = session.query("SELECT has_schema_privilege(%s, %s, 'USAGE')", (role, session.schema))
    if not allowed[0][0]:
        raise PrivilegeMissing(
            server=session.server,
            user=session.user,
            action=f"let role {role!r}, who may delete from the source, use schema {session.schema!r}",
            grant=f"{usage};",
        )
    for statement in others:
        session.query(statement)


def lock_holders(session: Session, source: TableModel) -> list[str]:
    """Return who holds locks on the source table, as far as the server tells the link user."""
    if session.backend != "postgresql":
        return []
    rows = session.query(
        "SELECT DISTINCT a.usename::text, l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.relation = %s::regclass AND l.granted AND l.pid <> pg_backend_pid()",
        (f"{session.table(source.name, source.schema)}".replace("%%", "%"),),
    )
    return [f"{user} (process {pid})" for user, pid in rows]
