"""Backups of schemas on the test servers: by SQL on every product, by the products' own programs where they come with one."""

from __future__ import annotations

import os
import secrets
import subprocess

from attrs import define, field
from labs import damage
from servers import Product, mysql_folder

from link.infrastructure.private_postgres import _programs


@define
class Backup:
    """What the tables of some schemas held; restoring puts it back past foreign keys and triggers, as a backup does."""

    server: object
    schemas: tuple
    kept: str = field(factory=lambda: f"kept_{secrets.token_hex(3)}")
    tables: list = field(factory=list)

    def __attrs_post_init__(self):
        self.server.admin_query(f"CREATE {'SCHEMA' if self._is_postgresql else 'DATABASE'} {self.kept}")
        for schema in self.schemas:
            for number, table in enumerate(tables(self.server, schema)):
                copy = f"{self.kept}.{schema}_{number}"
                place = f"{self.server.quote(schema)}.{self.server.quote(table)}"
                self.server.admin_query(f"CREATE TABLE {copy} AS SELECT * FROM {place}")
                self.tables.append((place, copy))

    @property
    def _is_postgresql(self):
        return self.server.backend == "postgresql"

    def restore(self):
        """Put every table back as it was; tables made since are left."""
        empty = "DELETE FROM" if self._is_postgresql else "TRUNCATE"
        damage(self.server, *(f"{empty} {place}" for place, _ in self.tables))
        damage(self.server, *(f"INSERT INTO {place} SELECT * FROM {copy}" for place, copy in self.tables))


def tables(server, schema):
    found = server.admin_query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE'", (schema,)
    )
    return [row[0] for row in found]


def clone(server, schema, account):
    """Copy a schema under another name on the same server, with all it holds, and return the name."""
    name = f"clone_{secrets.token_hex(3)}"
    if server.backend == "postgresql":
        server.admin_query(f"CREATE SCHEMA {name} AUTHORIZATION {account.user}")
    else:
        server.admin_query(f"CREATE DATABASE {name}")
        server.admin_query(f"GRANT ALL ON {name}.* TO {account.user}")
    for table in tables(server, schema):
        here, there = (f"{server.quote(place)}.{server.quote(table)}" for place in (name, schema))
        like = f"(LIKE {there} INCLUDING ALL)" if server.backend == "postgresql" else f"LIKE {there}"
        server.query(account, f"CREATE TABLE {here} {like}")
        server.query(account, f"INSERT INTO {here} SELECT * FROM {there}")
    return name


def dump(server, *schemas):
    """Return what the product's own program makes of the schemas, as SQL."""
    if server.product is Product.POSTGRESQL:
        chosen = [f"--schema={schema}" for schema in schemas]
        return _run([_postgresql("pg_dump"), *_address(server), *chosen, "--clean", "--if-exists", "postgres"], server)
    program = ["mariadb-dump"] if server.product is Product.MARIADB else [_mysql("mysqldump"), "--set-gtid-purged=OFF"]
    return _run([*program, *_address(server), "--single-transaction", "--add-drop-database", "--databases", *schemas], server)


def load(server, sql):
    """Run a dump, in place of what is there."""
    if server.product is Product.POSTGRESQL:
        _run([_postgresql("psql"), *_address(server), "--quiet", "--set=ON_ERROR_STOP=1", "postgres"], server, sql)
    else:
        _run(["mariadb" if server.product is Product.MARIADB else _mysql("mysql"), *_address(server)], server, sql)


def _postgresql(name):
    return str(_programs() / name)


def _mysql(name):
    return str(mysql_folder() / name)


def _address(server):
    user = "--username" if server.product is Product.POSTGRESQL else "--user"
    return [f"--host={server.host}", f"--port={server.port}", f"{user}={server.admin.user}"]


def _run(command, server, sql=b""):
    secrets_ = {"PGPASSWORD": server.admin.password, "MYSQL_PWD": server.admin.password}
    done = subprocess.run(command, input=sql, env={**os.environ, **secrets_}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
