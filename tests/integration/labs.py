"""Fresh labs: schemas and least-privileged accounts on a test server."""

from __future__ import annotations

import secrets

import servers
from attrs import define
from servers import Account, Product


@define(eq=False)
class LabS:
    """A fresh lab S: schemas and accounts on a server."""

    server: servers.Server
    source_schema: str
    outbound_schema: str
    owner: Account
    member: Account
    link: Account

    def table(self, name, schema=None):
        return f"{self.server.quote(schema or self.source_schema)}.{self.server.quote(name)}"

    def outbound(self, name):
        return self.table(name, self.outbound_schema)

    def count(self, name, schema=None):
        return self.server.admin_query(f"SELECT count(*) FROM {self.table(name, schema)}")[0][0]

    def befriend(self, names=("session_outbound",)):
        """Grant lab S's users what README.md tells an admin of MySQL or MariaDB to grant once outbound is there."""
        if self.server.backend == "postgresql":
            return
        for account in (self.owner, self.member):
            for name in names:
                for table in (name, f"{name}__deletion_requested", f"{name}__deletion_approved"):
                    rights = "SELECT, INSERT, DELETE" if table.endswith("requested") else "SELECT, DELETE"
                    self.server.admin_query(f"GRANT {rights} ON {self.outbound(table)} TO {account.user}")
            self.server.admin_query(f"GRANT SELECT ON {self.outbound('~lineage')} TO {account.user}")
            self.server.admin_query(f"GRANT SELECT, INSERT ON {self.outbound('~log')} TO {account.user}")


@define(eq=False)
class LabL:
    """A fresh lab L: a schema and an account on a server."""

    server: servers.Server
    local_schema: str
    user: Account

    def table(self, name):
        return f"{self.server.quote(self.local_schema)}.{self.server.quote(name)}"

    def count(self, name):
        return self.server.admin_query(f"SELECT count(*) FROM {self.table(name)}")[0][0]


def make_lab_s(server):
    tag = secrets.token_hex(3)
    source, outbound = f"lab_{tag}", f"out_{tag}"
    accounts = {role: Account(f"{role}_{tag}", secrets.token_hex(8)) for role in ("owner", "member", "link")}
    owner, member, link = (accounts[role].user for role in ("owner", "member", "link"))
    for account in accounts.values():
        _make_account(server, account)
    if server.backend == "postgresql":
        tables = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {source} GRANT"
        statements = [
            f"CREATE SCHEMA {source} AUTHORIZATION {owner}",
            f"CREATE SCHEMA {outbound} AUTHORIZATION {link}",
            f"GRANT USAGE ON SCHEMA {source} TO {link}, {member}",
            f"{tables} SELECT, REFERENCES ON TABLES TO {link}",
            f"{tables} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {member}",
        ]
    else:
        statements = [
            f"CREATE DATABASE {source} CHARACTER SET utf8mb4",  # MariaDB without a configuration has latin1
            f"CREATE DATABASE {outbound}",
            f"GRANT ALL ON {source}.* TO {owner}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {source}.* TO {member}",
            f"GRANT SELECT, REFERENCES ON {source}.* TO {link}",
            f"GRANT ALL ON {outbound}.* TO {link}",
        ]
    for statement in statements:
        server.admin_query(statement)
    return LabS(server, source, outbound, *accounts.values())


def make_lab_l(server):
    tag = secrets.token_hex(3)
    schema, user = f"local_{tag}", Account(f"user_{tag}", secrets.token_hex(8))
    _make_account(server, user)
    if server.backend == "postgresql":
        server.admin_query(f"CREATE SCHEMA {schema} AUTHORIZATION {user.user}")
    else:
        server.admin_query(f"CREATE DATABASE {schema}")
        server.admin_query(f"GRANT ALL ON {schema}.* TO {user.user}")
    return LabL(server, schema, user)


def damage(server, *statements):
    """Run statements as an admin for whom neither foreign keys nor, on PostgreSQL, triggers count."""
    connection = server.raw(server.admin)
    with connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica" if server.backend == "postgresql" else "SET foreign_key_checks = 0"
        )
        if server.product is Product.MYSQL:
            cursor.execute("SET restrict_fk_on_non_standard_key = OFF")
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def _make_account(server, account):
    if server.backend == "postgresql":
        server.admin_query(f"CREATE ROLE {account.user} LOGIN PASSWORD '{account.password}'")
    else:
        server.admin_query(f"CREATE USER {account.user} IDENTIFIED BY '{account.password}'")


def begin(server, account):
    """Open a raw connection in a READ COMMITTED transaction."""
    connection = server.raw(account)
    if server.backend == "postgresql":
        connection.autocommit = False
    else:
        connection.autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.commit()
    return connection
