"""What may befall registered rows at lab S: one table of attacks, the labs they happen to, and what is seen.

`uv run python tests/integration/attacks.py` runs all on every product and rewrites the tables of docs/guard.md.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from pathlib import Path

import datajoint as dj
import legacy
import servers
from attrs import frozen
from labs import make_lab_l, make_lab_s, run_section
from servers import Account, Product

from link import LazySchema, Link
from link.adapters.datajoint import privileges
from link.domain.findings import REMEDIES, Weight

PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
BEGIN, END = "<!-- tests/integration/attacks.py writes from here -->", "<!-- to here -->"
PARTLESS = {"subject": "m0", "session": 2}
SHARED = {"subject": "m0", "session": 1}
FREE = {"subject": "m1", "session": 1}
FAMILY = (Product.MARIADB, Product.MYSQL)
POSTGRESQL = (Product.POSTGRESQL,)
MIXES = {"nothing": (), "SELECT": ("SELECT",), "SELECT, DELETE": ("SELECT", "DELETE"), "everything": ("ALL",)}
"""Accounts that may delete from the source, by their rights on every table of the outbound schema."""


class Scene:
    """A lab S with two shared sessions, the second one without parts, and one that is not shared; lab L has the shared ones."""

    def __init__(self, product):
        self.product, self.opened = product, []
        self.server = servers.get(product, "source")
        self.lab = make_lab_s(self.server, before=self.declare)
        self.lab_l = make_lab_l(self.server)
        self.session = self.link(self.lab_l, self.lab.outbound_schema)
        self.session.pull({"subject": "m0"})
        self.lab.befriend()
        self.accounts = {"admin": self.server.admin, "owner": self.lab.owner, "member": self.lab.member}
        self.before = self.rows()

    def declare(self, lab):
        """Declare as DataJoint 0.14 would, so that it can delete too."""
        key = "subject varchar(16) NOT NULL, session int NOT NULL"
        text = "" if lab.server.backend == "postgresql" else " CHARACTER SET utf8mb4"
        key = key.replace("varchar(16)", f"varchar(16){text}")
        statements = [
            f"CREATE TABLE {lab.table('session')} ({key}, note varchar(20) NOT NULL, PRIMARY KEY (subject, session))",
            (
                f"CREATE TABLE {lab.table('session__trial')} ({key}, trial int NOT NULL, PRIMARY KEY (subject, session, trial),"
                f" FOREIGN KEY (subject, session) REFERENCES {lab.table('session')} (subject, session))"
            ),
            f"INSERT INTO {lab.table('session')} VALUES ('m0', 1, 'x'), ('m0', 2, 'x'), ('m1', 1, 'x')",
            f"INSERT INTO {lab.table('session__trial')} VALUES ('m0', 1, 1), ('m1', 1, 1)",
        ]
        if lab.server.backend == "mysql":
            statements.append(
                f"CREATE TABLE {lab.table('~log')} (id int unsigned AUTO_INCREMENT PRIMARY KEY, timestamp timestamp NOT NULL"
                " DEFAULT CURRENT_TIMESTAMP, version varchar(12), user varchar(255), host varchar(255), event varchar(255))"
            )
        for statement in statements:
            lab.server.query(lab.owner, statement)

    def link(self, lab_l, outbound):
        local = LazySchema(lab_l.local_schema, connection=self.connect(lab_l.user))
        place = {"host": self.server.host, "port": self.server.port, "backend": self.server.backend}
        account = {"user": self.lab.link.user, "password": self.lab.link.password, "use_tls": False}
        source = LazySchema(self.lab.source_schema, **place, **account, database_name=self.server.database_name)
        return Link(local, source, outbound=outbound)(type("Session", (), {}))

    def connect(self, account):
        settings = {"database__name": self.server.database_name, "safemode": False}
        server = self.server
        instance = dj.Instance(
            server.host, account.user, account.password, server.port, use_tls=False, backend=server.backend, **settings
        )
        self.opened.append(instance.connection)
        return instance.connection

    # ---- what attackers use

    def account(self, who):
        """Return an account, and make one of a mix of rights where it is not there yet."""
        if who not in self.accounts:
            self.accounts[who] = self._mixed(MIXES[who])
        return self.accounts[who]

    def _mixed(self, rights):
        made, admin = Account(f"mix_{secrets.token_hex(3)}", secrets.token_hex(8)), self.server.admin_query
        source, outbound, listed = self.lab.source_schema, self.lab.outbound_schema, ", ".join(rights)
        if self.server.backend == "postgresql":
            admin(f"CREATE ROLE {made.user} LOGIN PASSWORD '{made.password}'")
            admin(f"GRANT USAGE ON SCHEMA {source} TO {made.user}")
            admin(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {source} TO {made.user}")
            if rights:
                admin(f"GRANT USAGE ON SCHEMA {outbound} TO {made.user}")
                admin(f"GRANT {listed} ON ALL TABLES IN SCHEMA {outbound} TO {made.user}")
        else:
            admin(f"CREATE USER {made.user} IDENTIFIED BY '{made.password}'")
            admin(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {source}.* TO {made.user}")
            if rights:
                admin(f"GRANT {listed} ON {outbound}.* TO {made.user}")
        return made

    def sql(self, who, *statements):
        """Run statements in one session, with the names of `{s}` (the source), `{t}` (its part), `{o}` (outbound), … filled in."""
        names = {"s": self.lab.table("session"), "t": self.lab.table("session__trial"), "S": self.lab.source_schema}
        names |= {"o": self.lab.outbound("session_outbound"), "O": self.lab.outbound_schema}
        names |= {"j": self.lab.outbound("~link_journal"), "r": self.lab.outbound("~link_outbound")}
        names |= {"a": self.lab.outbound("session_outbound__deletion_approved"), "u": self.lab.link.user}
        names |= {"g": self.lab.outbound("~session_outbound_guard"), "d": self.lab.outbound("~session_outbound_delete")}
        connection = self.server.raw(self.account(who))
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement.format(**names))
        finally:
            connection.close()

    def module(self, who, schema):
        return dj.VirtualModule("module", schema, connection=self.connect(self.account(who)))

    def source(self, who):
        return self.module(who, self.lab.source_schema).Session

    def outbound(self, who):
        return self.module(who, self.lab.outbound_schema).SessionOutbound

    # ---- what is seen

    def rows(self):
        """Return everything at lab S that an attack could change, or None for a table that is gone."""
        names = ["session", "session__trial"], [f"session_outbound{end}" for end in ("", *FLAGS)]
        places = [self.lab.table(name) for name in names[0]] + [self.lab.outbound(name) for name in names[1]]
        places += [self.lab.outbound(name) for name in ("~link_journal", "~link_outbound")]
        return {place: self._rows(place) for place in places}

    def _rows(self, place):
        try:
            return sorted(map(str, self.server.admin_query(f"SELECT * FROM {place}")))
        except Exception:  # noqa: BLE001 - the table is gone
            return None

    def keys(self, place):
        try:
            return set(self.server.admin_query(f"SELECT subject, session FROM {place}"))
        except Exception:  # noqa: BLE001 - the table is gone
            return set()

    def is_kept(self):
        """Whether every local row is registered and in the source."""
        local = self.keys(self.lab_l.table("session"))
        source = self.keys(self.lab.table("session")) | self.keys(self.lab.table("elsewhere"))
        return local <= self.keys(self.lab.outbound("session_outbound")) and local <= source

    def close(self):
        while self.opened:
            self.opened.pop().close()


FLAGS = ("__deletion_requested", "__deletion_approved")


@frozen
class Attack:
    """One way to do harm, by each of some accounts; `act` raises where it is refused."""

    name: str
    who: tuple
    act: object
    products: tuple = tuple(Product)


def sql(*statements):
    return lambda scene, who: scene.sql(who, *statements)


def delete(key, **options):
    def act(scene, who):
        (scene.source(who) & key).delete(**options)

    return act


def after(*statements):
    """Delete a shared row with DataJoint after an admin's statements."""

    def act(scene, who):
        scene.sql(who, *statements)
        (scene.source(who) & SHARED).delete()

    return act


def replace(scene, who):
    scene.source(who).insert1({**SHARED, "note": "new"}, replace=True)


def drop_schema(which):
    def act(scene, who):
        name = scene.lab.source_schema if which == "source" else scene.lab.outbound_schema
        dj.Schema(name, connection=scene.connect(scene.account(who)), create_schema=False).drop(prompt=False)

    return act


def old_client(version):
    script = """
lab = dj.VirtualModule("lab", os.environ["SOURCE"], create_schema=False)
(lab.Session & dict(subject="m0", session=1)).delete()
"""
    return lambda scene, who: legacy.run(script, scene.lab, scene.account(who), version)


def one_of_two_links(scene, who):
    """Let a second link approve a row that the first one still holds."""
    lab_l, names = make_lab_l(scene.server), scene.lab.names(outbound_schema=f"{scene.lab.outbound_schema}_2")
    section = privileges.lab_s(scene.lab.product, names)
    run_section(scene.server, section, scene.lab.link, without=(0, None))
    other = scene.link(lab_l, names.outbound_schema)
    assert other.pull(SHARED).pulled == 1
    flags = f"{names.outbound_schema}.{scene.server.quote('session_outbound__deletion_requested')}"
    scene.server.admin_query(f"INSERT INTO {flags} (subject, session) VALUES ('m0', 1)")
    assert other.delete().approved == 1
    (scene.source(who) & SHARED).delete()


def restored(scene, who):
    """Dump lab S's two schemas, drop them, and restore them, then delete."""
    dump_and_restore(scene, scene.lab.source_schema, scene.lab.outbound_schema)
    (scene.source(who) & SHARED).delete()


def dump_and_restore(scene, *schemas):
    server, admin = scene.server, scene.server.admin
    if server.backend == "postgresql":
        tool = server._process._programs()
        line = ["-h", server.host, "-p", str(server.port), "-U", admin.user, "postgres"]
        chosen = [f"--schema={schema}" for schema in schemas]
        environment = {"PGPASSWORD": admin.password}
        dump = subprocess.run([tool / "pg_dump", *line, *chosen], env=environment, capture_output=True, check=True).stdout
        scene.sql("admin", *(f"DROP SCHEMA {schema} CASCADE" for schema in schemas))
        command = [tool / "psql", "-q", "-v", "ON_ERROR_STOP=1", *line]
        subprocess.run(command, env=environment, input=dump, capture_output=True, check=True)
        return
    line = ["--no-defaults", "-h", server.host, "-P", str(server.port), "-u", admin.user, f"-p{admin.password}"]
    options = ["--single-transaction", "--databases", *schemas]
    dump = subprocess.run(["mariadb-dump", *line, *options], capture_output=True, check=True).stdout
    scene.sql("admin", "SET foreign_key_checks = 0", *(f"DROP DATABASE {schema}" for schema in schemas))
    if scene.product is Product.MYSQL:
        dump = dump[dump.index(b"\n") + 1 :] if dump.startswith(b"/*!999999") else dump
        dump = b"SET SESSION restrict_fk_on_non_standard_key = OFF;\n" + dump
    subprocess.run(["mariadb", *line], input=dump, capture_output=True, check=True)


def older_backup(scene, who):
    """Put the source back to where it was before a shared row was inserted."""
    off = "SET session_replication_role = replica" if scene.server.backend == "postgresql" else "SET foreign_key_checks = 0"
    scene.sql(who, off, "DELETE FROM {s} WHERE session = 2")


ALL = ("member", "owner", "admin")
OWNERS = ("owner", "admin")
ATTACKS = {
    "The source": (
        Attack("`(Session & key).delete()`", ALL, delete(SHARED)),
        Attack('`delete(part_integrity="ignore")`', ("owner",), delete(SHARED, part_integrity="ignore")),
        Attack('`delete(part_integrity="cascade")`', ("owner",), delete(SHARED, part_integrity="cascade")),
        Attack("`delete()` of shared rows among others", ("owner",), delete("TRUE")),
        Attack("`delete()` of rows that are not shared", ALL, delete(FREE)),
        Attack("`delete_quick()`", ("owner",), lambda scene, who: (scene.source(who) & PARTLESS).delete_quick()),
        Attack("DELETE", ALL, sql("DELETE FROM {s} WHERE session = 2")),
        Attack("DELETE IGNORE", OWNERS, sql("DELETE IGNORE FROM {s} WHERE session = 2"), FAMILY),
        Attack("TRUNCATE", OWNERS, sql("TRUNCATE TABLE {s}")),
        Attack("TRUNCATE … CASCADE", OWNERS, sql("TRUNCATE TABLE {s} CASCADE"), POSTGRESQL),
        Attack("UPDATE of the key", ALL, sql("UPDATE {s} SET session = 77 WHERE session = 2")),
        Attack("UPDATE of other columns", ("member",), sql("UPDATE {s} SET note = 'new' WHERE subject = 'm0'")),
        Attack("`insert(replace=True)`", ALL, replace),
        Attack('`Trial.delete(part_integrity="ignore")`', ("member",),
               lambda scene, who: (scene.source(who).Trial & SHARED).delete(part_integrity="ignore")),
        Attack('`Trial.delete(part_integrity="cascade")`', ("owner",),
               lambda scene, who: (scene.source(who).Trial & SHARED).delete(part_integrity="cascade")),
        Attack("`Session.drop()`", OWNERS, lambda scene, who: scene.source(who).drop(prompt=False)),
        Attack("`Session.drop_quick()`", OWNERS, lambda scene, who: scene.source(who)().drop_quick()),
        Attack("DROP TABLE of the source", OWNERS, sql("DROP TABLE {s}")),
        Attack("DROP TABLE … CASCADE", OWNERS, sql("DROP TABLE {s} CASCADE"), POSTGRESQL),
        Attack("DROP TABLE of a part", ("owner",), sql("DROP TABLE {t}")),
        Attack("the schema's `drop()`", OWNERS, drop_schema("source")),
        Attack("DROP DATABASE, DROP SCHEMA", ("admin",), lambda scene, who: scene.sql(
            who, "DROP SCHEMA {S} CASCADE" if scene.server.backend == "postgresql" else "DROP DATABASE {S}")),
        Attack("renaming the source table", OWNERS, lambda scene, who: scene.sql(
            who, "ALTER TABLE {s} RENAME TO " + ("elsewhere" if scene.server.backend == "postgresql" else "{S}.elsewhere"))),
        Attack("DataJoint 0.14: `delete()`", ALL, old_client("0.14"), FAMILY),
        Attack("DataJoint 0.13: `delete()`", ALL, old_client("0.13"), FAMILY),
    ),
    "Outbound, the journal, the guard": (
        Attack("`SessionOutbound.delete()`", ALL, lambda scene, who: scene.outbound(who).delete()),
        Attack("`SessionOutbound.delete_quick()`", ALL, lambda scene, who: scene.outbound(who)().delete_quick()),
        Attack("DELETE of outbound", ALL, sql("DELETE FROM {o}")),
        Attack("DELETE IGNORE of outbound", ("member", "admin"), sql("DELETE IGNORE FROM {o}"), FAMILY),
        Attack("TRUNCATE of outbound", ("member", "admin"), lambda scene, who: scene.sql(
            who, "TRUNCATE TABLE {o}" + (" CASCADE" if scene.server.backend == "postgresql" else ""))),
        Attack("UPDATE of outbound's key", ("member", "admin"), sql("UPDATE {o} SET session = 77 WHERE session = 1")),
        Attack("UPDATE of `link_held`, then `delete()`", ("member", "admin"), after("UPDATE {o} SET link_held = NULL")),
        Attack("INSERT into DeletionApproved, then `delete()`", ("member", "admin"),
               after("INSERT INTO {a} (subject, session) VALUES ('m0', 1)")),
        Attack("`SessionOutbound.drop()`", ("member", "admin"), lambda scene, who: scene.outbound(who).drop(prompt=False)),
        Attack("DROP TABLE of outbound", ("member", "admin"), sql("DROP TABLE {o}")),
        Attack("the outbound schema's `drop()`", ("member", "admin"), drop_schema("outbound")),
        Attack("DELETE of the journal", ("member", "admin"), sql("DELETE FROM {j}")),
        Attack("DELETE of Link's registry", ("member", "admin"), sql("DELETE FROM {r}")),
        Attack("dropping the link's account", ("admin",), lambda scene, who: scene.sql(
            who, "DROP ROLE {u}" if scene.server.backend == "postgresql" else "DROP USER {u}")),
        Attack("the same, then `delete()`", ("owner",), lambda scene, who: (
            scene.sql("admin", "DROP USER {u}"), (scene.source(who) & SHARED).delete()), FAMILY),
        Attack("DELETE of the guard's rows", ("admin",), sql("DELETE FROM {g}"), (Product.MYSQL,)),
        Attack("UPDATE, then DELETE of the guard's rows, then `delete()`", ("admin",),
               after("UPDATE {g} SET self = NULL", "DELETE FROM {g}"), (Product.MYSQL,)),
        Attack("DROP of the guard, then `delete()`", ("admin",), lambda scene, who: after(*{
            Product.POSTGRESQL: ("DROP TRIGGER link_guard_rows ON {o}",),
            Product.MARIADB: ("DROP TRIGGER {d}",),
            Product.MYSQL: ("DROP TABLE {g}",)}[scene.product])(scene, who)),
        Attack("DROP FOREIGN KEY of outbound, then DELETE of the source", ("admin",), lambda scene, who: scene.sql(who, *(
            ("ALTER TABLE {o} DROP CONSTRAINT session_outbound_subject_session_fkey",) if scene.server.backend == "postgresql"
            else ("ALTER TABLE {o} DROP FOREIGN KEY " + ("session_outbound_ibfk_1"),)),
            "DELETE FROM {s} WHERE session = 2")),
    ),
    "Past every guard": (
        Attack("SET foreign_key_checks = 0, then DELETE of the source", OWNERS,
               sql("SET foreign_key_checks = 0", "DELETE FROM {s} WHERE session = 2"), FAMILY),
        Attack("SET foreign_key_checks = 0, then DROP TABLE", OWNERS,
               sql("SET foreign_key_checks = 0", "DROP TABLE {s}"), FAMILY),
        Attack("SET session_replication_role, then DELETE", OWNERS,
               sql("SET session_replication_role = replica", "DELETE FROM {s} WHERE session = 2"), POSTGRESQL),
        Attack("DISABLE TRIGGER ALL, then `delete()`", ("admin",), after("ALTER TABLE {o} DISABLE TRIGGER ALL"), POSTGRESQL),
        Attack("dump and restore of both schemas, then `delete()`", OWNERS, restored),
        Attack("restore of an older dump of the source schema", ("admin",), older_backup),
    ),
    "Several links, mixed rights": (
        Attack("`delete()` of a row that one of two links has approved", OWNERS, one_of_two_links),
        Attack("`delete()` of a shared row, with these rights on outbound", tuple(MIXES), delete(SHARED)),
        Attack("`delete()` of a row that is not shared, with these rights", tuple(MIXES), delete(FREE)),
        Attack("DELETE of outbound, with these rights", tuple(MIXES), sql("DELETE FROM {o}")),
        Attack("UPDATE of `link_held`, with these rights, then `delete()`", tuple(MIXES), after("UPDATE {o} SET link_held = NULL")),
    ),
}  # fmt: skip


class Stage:
    """Keeps a scene of each product for the next attack, unless the last one has changed it."""

    def __init__(self):
        self.scenes = {}

    def see(self, attack, who, product):
        """Let an account try, and return what came of it in words."""
        if product not in attack.products:
            return NOT_THERE
        scene = self.scenes.get(product) or Scene(product)
        self.scenes[product] = scene
        error = None
        try:
            attack.act(scene, who)
        except Exception as caught:  # noqa: BLE001 - each server says it in its own words
            error = caught
        changed = scene.rows() != scene.before
        seen = self.judge(scene, error, changed=changed)
        scene.close()
        if changed or error is None or attack not in ATTACKS["The source"]:
            del self.scenes[product]  # what an admin did to the guard shows in no row
        return seen

    def judge(self, scene, error, *, changed):
        words = f"refused: {said(error)}" if error is not None else ""
        if scene.is_kept() and not changed:
            return words or "nothing happens"
        found = diagnosed(scene)
        if scene.is_kept():
            return (f"{words}, after harm" if words else "allowed") + (f"; doctor: {found}" if found else "")
        return f"**not stopped**; doctor: {found or 'NOTHING'}"


def diagnosed(scene):
    """Return what the doctor finds wrong, in the words of docs/doctor.md."""
    scene.session.connection.dependencies.clear()
    try:
        found = scene.session().doctor().findings
    except Exception as error:  # noqa: BLE001 - that it cannot look is a finding too
        return f"cannot look ({said(error)})"
    return ", ".join(dict.fromkeys(f.trouble.value for f in found if REMEDIES[f.trouble].weight is not Weight.NOTE))


def said(error):
    """Return the words of a refusal, without what differs from run to run."""
    lines = (str(error.args[-1]) if error.args else str(error)).strip().split("\n")
    text = lines[-1] if "Traceback" in str(error) else lines[0]
    if isinstance(error, dj.errors.DataJointError) and len(error.args) > 1:
        text = str(error.args[0]) + " " + str(error.args[1]).split("\n", 1)[0]
    text = re.sub(r"_[0-9a-f]{6}\b", "", re.sub(r"127\.0\.0\.1:\d+", "HOST", text))
    text = re.sub(r"\(\d+, ['\"]|['\"], .*$|^.*Error: |['\"]\)$", "", text).replace("|", "/").replace("`", "").strip()
    text = " ".join(text.split("\n", 1)[0].split())
    return f"“{text if len(text) <= MOST else text[:MOST].rsplit(' ', 1)[0] + ' …'}”"


MOST = 110
NOT_THERE = "\N{EN DASH}"


def table(section, seen):
    head = "| | by | PostgreSQL | MariaDB | MySQL |\n|---|---|---|---|---|\n"
    rows = [
        f"| {attack.name} | {who} | {' | '.join(seen[attack.name, who, product] for product in Product)} |\n"
        for attack in ATTACKS[section]
        for who in attack.who
    ]
    return f"### {section}\n\n{head}{''.join(rows)}"


def page():
    """Return what docs/guard.md says: (attack, who, product) → words."""
    found = {}
    for line in PAGE.read_text().split(BEGIN)[1].split(END)[0].splitlines():
        if line.startswith("| ") and not line.startswith("| |"):
            name, who, *cells = line.strip("| ").split(" | ")
            found |= {(name, who, product): cell for product, cell in zip(Product, cells, strict=True)}
    return found


def main():
    stage, seen = Stage(), {}
    for section in ATTACKS.values():
        for attack in section:
            for who in attack.who:
                for product in Product:
                    seen[attack.name, who, product] = stage.see(attack, who, product)
                    print(attack.name, who, product.value, seen[attack.name, who, product], sep=" | ", flush=True)
    before, rest = PAGE.read_text().split(BEGIN)
    tables = "\n".join(table(section, seen) for section in ATTACKS)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{rest.split(END)[1]}")
    servers.remove_all()


if __name__ == "__main__":
    sys.exit(main())
