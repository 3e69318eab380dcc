"""Fresh labs: schemas on a test server, and accounts with exactly what `python -m link grants` prints."""

from __future__ import annotations

import secrets

import servers
from attrs import define, evolve
from servers import Account, Product

from link.adapters.datajoint import privileges


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

    def has_outbound(self, name="session_outbound"):
        """Whether there is an outbound table, which goes with its link."""
        there = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        return bool(self.server.admin_query(there, (self.outbound_schema, name)))

    def another_outbound(self):
        """Make one more outbound schema for the lab's link user, and return its name."""
        name = f"{self.outbound_schema}_{secrets.token_hex(2)}"
        if self.server.backend == "postgresql":
            self.server.admin_query(f"CREATE SCHEMA {name} AUTHORIZATION {self.link.user}")
        else:
            self.server.admin_query(f"CREATE DATABASE {name}")
            self.server.admin_query(f"GRANT ALL ON {name}.* TO {self.link.user}")
        return name

    @property
    def product(self):
        return privileges.Product(self.server.product.value)

    def names(self, **others):
        own = {"source_schema": self.source_schema, "outbound_schema": self.outbound_schema, "link_user": self.link.user}
        return privileges.Names(**{**own, "owner": self.owner.user, "member": self.member.user, **others})

    def befriend(self, names=("session_outbound",), without=None):
        """Run what an admin of MySQL or MariaDB runs once outbound is there, for each of lab S's users."""
        for account in (self.owner, self.member):
            for name in names:
                section = privileges.members(
                    self.product, self.names(member=account.user, table=name.removesuffix("_outbound"))
                )
                run_section(self.server, section, self.link, without)


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


def run_section(server, section, account, without=None):
    """Run a section of `python -m link grants` as admin, less one statement, or one right of it: (number, right)."""
    for number, statement in enumerate(section.statements):
        left = tuple(right for right in statement.rights if (number, right) != without)
        if (number, None) == without or (statement.rights and not left):
            continue
        server.admin_query(str(evolve(statement, rights=left)).replace("…", account.password).rstrip(";"))


def make_lab_s(server, before=None, without=None):
    """Make a lab S with a link account; `before` may do what the lab did before it heard of Link."""
    tag = secrets.token_hex(5)
    accounts = {role: Account(f"{role}_{tag}", secrets.token_hex(8)) for role in ("owner", "member", "link")}
    lab = LabS(server, f"lab_{tag}", f"out_{tag}", *accounts.values())
    owner, member, source = lab.owner.user, lab.member.user, lab.source_schema
    _make_account(server, lab.owner)
    _make_account(server, lab.member)
    if server.backend == "postgresql":
        rights = "SELECT, INSERT, UPDATE, DELETE"
        statements = [
            f"CREATE SCHEMA {source} AUTHORIZATION {owner}",
            f"GRANT USAGE ON SCHEMA {source} TO {member}",
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {source} GRANT {rights} ON TABLES TO {member}",
        ]
    else:
        statements = [
            f"CREATE DATABASE {source} CHARACTER SET utf8mb4",  # MariaDB without a configuration has latin1
            f"GRANT ALL ON {source}.* TO {owner}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {source}.* TO {member}",
        ]
    for statement in statements:
        server.admin_query(statement)
    if before is not None:
        before(lab)
    run_section(server, privileges.lab_s(lab.product, lab.names()), lab.link, without)
    return lab


def make_lab_l(server, without=None):
    tag = secrets.token_hex(5)
    schema, user = f"local_{tag}", Account(f"user_{tag}", secrets.token_hex(8))
    names = privileges.Names(local_schema=schema, local_user=user.user)
    run_section(server, privileges.lab_l(privileges.Product(server.product.value), names), user, without)
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
