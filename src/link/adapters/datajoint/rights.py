"""Whose rights at the source are wider than they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint.layout import JOURNAL, REGISTRY

if TYPE_CHECKING:
    from link.adapters.datajoint.layout import OutboundNames
    from link.adapters.datajoint.model import TableModel
    from link.adapters.datajoint.session import Session

WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")

_POSTGRESQL_OTHERS = """
SELECT c.relname, CASE WHEN acl.grantee = 0 THEN 'public' ELSE pg_get_userbyid(acl.grantee) END, acl.privilege_type
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) acl
WHERE n.nspname = %s AND acl.grantee <> c.relowner ORDER BY 2, 1, 3"""

_POSTGRESQL_OWN = """
SELECT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
       has_table_privilege(%s, 'INSERT, UPDATE, DELETE, TRUNCATE')"""

_MYSQL_OWN = """
SELECT PRIVILEGE_TYPE, '*' FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {me} AND PRIVILEGE_TYPE <> 'USAGE'
UNION SELECT PRIVILEGE_TYPE, %s FROM information_schema.SCHEMA_PRIVILEGES
WHERE GRANTEE = {me} AND REPLACE(TABLE_SCHEMA, '\\\\_', '_') = %s AND PRIVILEGE_TYPE IN ('INSERT', 'UPDATE', 'DELETE', 'DROP')
UNION SELECT PRIVILEGE_TYPE, %s FROM information_schema.TABLE_PRIVILEGES
WHERE GRANTEE = {me} AND TABLE_SCHEMA = %s AND TABLE_NAME = %s AND PRIVILEGE_TYPE IN ('INSERT', 'UPDATE', 'DELETE', 'DROP')"""
_ME = "CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')"
_GRAVE = {"INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "SUPER", "SET_ANY_DEFINER"}


def too_wide(session: Session, names: OutboundNames, source: TableModel) -> list[str]:
    """Return the statements that take back what nobody needs, as far as the link user can see it.

    On the MySQL family that is the link user's own rights; those of others are in tables that only an admin reads.
    """
    if session.backend == "postgresql":
        return [*_postgresql_own(session, source), *_postgresql_others(session, names)]
    return _mysql_own(session, source)


def _postgresql_others(session: Session, names: OutboundNames) -> list[str]:
    allowed = {
        names.master: {"SELECT", "DELETE"},
        names.requested: {"SELECT", "INSERT", "DELETE"},
        names.approved: {"SELECT", "DELETE"},
    }
    ours = {*allowed, JOURNAL, REGISTRY}
    return [
        f"REVOKE {privilege} ON {_plain(session.table(table))} FROM {'PUBLIC' if role == 'public' else session.quote(role)};"
        for table, role, privilege in session.query(_POSTGRESQL_OTHERS, (session.schema,))
        if table in ours and privilege not in allowed.get(table, {"SELECT"})
    ]


def _postgresql_own(session: Session, source: TableModel) -> list[str]:
    place = _plain(session.table(source.name, source.schema))
    almighty, writes = session.query(_POSTGRESQL_OWN, (place,))[0]
    me = session.quote(session.user)
    if almighty:
        return [f"ALTER ROLE {me} NOSUPERUSER;"]
    return [f"REVOKE {', '.join(WRITES)} ON {place} FROM {me};"] if writes else []


def _mysql_own(session: Session, source: TableModel) -> list[str]:
    schema, table = _plain(session.quote(source.schema)), _plain(session.table(source.name, source.schema))
    found = session.query(_MYSQL_OWN.format(me=_ME), (f"{schema}.*", source.schema, table, source.schema, source.name))
    by_place: dict[str, list[str]] = {}
    for privilege, place in found:
        if privilege in _GRAVE:
            by_place.setdefault("*.*" if place == "*" else str(place), []).append(str(privilege))
    user, host = str(session.query("SELECT CURRENT_USER()")[0][0]).rsplit("@", 1)
    return [f"REVOKE {', '.join(sorted(kinds))} ON {place} FROM '{user}'@'{host}';" for place, kinds in by_place.items()]


def _plain(quoted: str) -> str:
    return quoted.replace("%%", "%")
