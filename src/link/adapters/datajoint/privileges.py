"""The least that each account needs, as the SQL that an admin runs; a test takes every single right away and sees what breaks.

A `Product` matters here, not only a backend: MariaDB asks for no REFERENCES on the table that a foreign key points to.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from link.adapters.datajoint.layout import OutboundNames


class Product(Enum):
    """A database server's make."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    MARIADB = "mariadb"


@frozen(kw_only=True)
class Names:
    """The names to fill in; the defaults are the documentation's."""

    source_schema: str = "source_schema"
    outbound_schema: str = "link_outbound"
    local_schema: str = "local_schema"
    link_user: str = "link_user"
    owner: str = "lab_admin"
    """Whoever declares lab S's tables (PostgreSQL: for those declared later)."""
    member: str = "lab_member"
    """One of lab S's ordinary users, or a role that they have."""
    local_user: str = "local_user"
    table: str = "session"
    """The source table, as the server names it."""


@frozen
class Statement:
    """A statement, `{rights}` being in it where it grants or revokes some."""

    text: str
    rights: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return self.text.replace("{rights}", ", ".join(self.rights))


@frozen(kw_only=True)
class Section:
    """What one person runs at one time."""

    title: str
    statements: tuple[Statement, ...]


def sections(source: Product, local: Product, names: Names) -> list[Section]:
    """Return everything, in the order in which it is run."""
    return [lab_s(source, names), lab_l(local, names), members(source, names), revocable(source, names)]


def lab_s(product: Product, names: Names) -> Section:
    """Return what lab S's admin runs before the first pull: an account for the link, and a schema for outbound."""
    user, source, outbound = (_quoted(product, n) for n in (names.link_user, names.source_schema, names.outbound_schema))
    title = "Lab S's admin, once: the account that lab L gets, and a schema for it. Nothing is written into the source schema."
    if product is Product.POSTGRESQL:
        tables, owner = ("SELECT", "REFERENCES"), _quoted(product, names.owner)
        default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {source} GRANT {{rights}} ON TABLES TO {user};"
        statements: tuple[Statement, ...] = (
            Statement(f"CREATE ROLE {user} LOGIN PASSWORD '…';"),
            Statement(f"CREATE SCHEMA {outbound} AUTHORIZATION {user};"),
            Statement(f"GRANT {{rights}} ON SCHEMA {source} TO {user};", ("USAGE",)),
            Statement(f"GRANT {{rights}} ON ALL TABLES IN SCHEMA {source} TO {user};", tables),
            Statement(default, tables, note=f"tables that {names.owner} declares later"),
        )
    else:
        own = ("REFERENCES",) if product is Product.MYSQL else ()
        trigger = ("TRIGGER",) if product is Product.MARIADB else ()
        statements = (
            Statement(f"CREATE USER {user} IDENTIFIED BY '…';"),
            Statement(f"CREATE DATABASE {outbound};"),
            Statement(f"GRANT {{rights}} ON {source}.* TO {user};", ("SELECT", *own)),
            Statement(
                f"GRANT {{rights}} ON {outbound}.* TO {user};", (*DATA, "CREATE", "DROP", "ALTER", "INDEX", *own, *trigger)
            ),
        )
    return Section(title=title, statements=statements)


DATA = ("SELECT", "INSERT", "UPDATE", "DELETE")


def members(product: Product, names: Names) -> Section:
    """Return what lets lab S's ordinary users see, request, and delete what was approved; the guard decides what goes."""
    if product is Product.POSTGRESQL:
        title = (
            "Lab S's users: nothing to run. Link itself lets whoever may DELETE from the source table (its owner, and those\n"
            "with that right) read outbound, request deletions, and delete what was approved. It looks again with every pull."
        )
        return Section(title=title, statements=())
    user, schema = _quoted(product, names.member), _quoted(product, names.outbound_schema)
    outbound = OutboundNames(master=f"{names.table.lstrip('#_')}_outbound")
    rights = {
        outbound.master: ("SELECT", "DELETE"),
        outbound.requested: ("SELECT", "INSERT", "DELETE"),
        outbound.approved: ("SELECT", "DELETE"),
        "~lineage": ("SELECT",),
        "~log": ("INSERT",),
    }
    return Section(
        title="Lab S's admin, once the first pull has made the tables, for each of lab S's users who delete, or for a role.",
        statements=tuple(
            Statement(
                f"GRANT {{rights}} ON {schema}.{_quoted(product, table)} TO {user};",
                granted,
                note="for DataJoint 0.14 alone" if table == "~log" else "",
            )
            for table, granted in rights.items()
        ),
    )


def revocable(product: Product, names: Names) -> Section:
    """Return what may be taken back once the tables are there; a further table to link needs it again."""
    user, source, outbound = (_quoted(product, n) for n in (names.link_user, names.source_schema, names.outbound_schema))
    title = "Lab S's admin, if wanted, once the first pull has made the tables; needed again to link a further table."
    if product is Product.POSTGRESQL:
        statements: tuple[Statement, ...] = (
            Statement(f"REVOKE {{rights}} ON ALL TABLES IN SCHEMA {source} FROM {user};", ("REFERENCES",)),
            Statement(f"REVOKE {{rights}} ON SCHEMA {outbound} FROM {user};", ("CREATE",)),
        )
    else:
        references = ("REFERENCES",) if product is Product.MYSQL else ()
        on_outbound = Statement(f"REVOKE {{rights}} ON {outbound}.* FROM {user};", ("CREATE", "INDEX", *references))
        on_source = Statement(f"REVOKE {{rights}} ON {source}.* FROM {user};", references)
        statements = (on_source, on_outbound) if references else (on_outbound,)
    return Section(title=title, statements=statements)


def lab_l(product: Product, names: Names) -> Section:
    """Return what lab L's admin runs: an account, and a schema for the linked tables and the user's own."""
    user, schema = _quoted(product, names.local_user), _quoted(product, names.local_schema)
    title = "Lab L's admin, once: a schema for the linked tables and the user's own, and the account that pulls."
    references = ("REFERENCES",) if product is Product.MYSQL else ()
    if product is Product.POSTGRESQL:
        statements: tuple[Statement, ...] = (
            Statement(f"CREATE ROLE {user} LOGIN PASSWORD '…';"),
            Statement(f"CREATE SCHEMA {schema} AUTHORIZATION {user};"),
        )
    else:
        statements = (
            Statement(f"CREATE USER {user} IDENTIFIED BY '…';"),
            Statement(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4;"),
            Statement(
                f"GRANT {{rights}} ON {schema}.* TO {user};",
                (*DATA, "CREATE", "DROP", "ALTER", *references),
            ),
        )
    return Section(title=title, statements=statements)


def _quoted(product: Product, name: str) -> str:
    """Quote a name where it needs it; raise `ValueError` for one that has a quote in it."""
    if any(mark in name for mark in "`\"'\\"):
        message = f"the name {name!r} has a quote in it"
        raise ValueError(message)
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        return name
    return f'"{name}"' if product is Product.POSTGRESQL else f"`{name}`"
