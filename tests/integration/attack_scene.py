"""The labs that attacks happen to, what an attacker uses there, and everything of lab S that an attack could change."""

from __future__ import annotations

import re
import secrets

import datajoint as dj
import servers
from labs import make_lab_l, make_lab_s, run_section
from servers import Account, Product

from link import LazySchema, Link
from link.adapters.datajoint import privileges

PARTLESS = {"subject": "m0", "session": 2}
SHARED = {"subject": "m0", "session": 1}
FREE = {"subject": "m1", "session": 1}
MIXES = {"nothing": (), "SELECT": ("SELECT",), "SELECT+DELETE": ("SELECT", "DELETE"), "everything": ("ALL",)}
"""Accounts that may delete from the source, by their rights on outbound and on its flags: `SELECT/nothing` and so on."""
PLAIN = {"lab": "source_schema", "out": "link_outbound", "local": "local_schema", "link": "link_user", "mix": "user"}
PLAIN |= {"owner": "owner", "member": "member"}
FLAGS = ("__deletion_requested", "__deletion_approved")

_POSTGRESQL_CATALOG = """
SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN (%s, %s) AND NOT t.tgisinternal
UNION ALL SELECT f.conrelid::regclass::text, f.conname, f.contype::text FROM pg_constraint f
JOIN pg_namespace n ON n.oid = f.connamespace WHERE n.nspname IN (%s, %s)
UNION ALL SELECT 'account', rolname, '' FROM pg_roles WHERE rolname = %s"""
_MYSQL_CATALOG = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA IN (%s, %s)
UNION ALL SELECT TABLE_NAME, CONSTRAINT_NAME, CONSTRAINT_TYPE FROM information_schema.TABLE_CONSTRAINTS
WHERE TABLE_SCHEMA IN (%s, %s)
UNION ALL SELECT 'account', User, '' FROM mysql.user WHERE User = %s"""


class Scene:
    """A lab S with two shared sessions, the second one without parts, and one that is not shared; lab L has the shared ones."""

    def __init__(self, product, *, told=False):
        self.product, self.opened = product, []
        self.server = servers.get(product, "source")
        self.lab = make_lab_s(self.server, before=self._declare)
        self.lab_l = make_lab_l(self.server)
        self.session = self.link(self.lab_l, self.lab.outbound_schema)
        self.session.pull({"subject": "m0"})
        self.lab.befriend()
        if told:
            self._make_readable()
        self.accounts = {"admin": self.server.admin, "owner": self.lab.owner, "member": self.lab.member}
        self.before = self.seen()
        self.kept, self.opened = self.opened, []

    def _declare(self, lab):
        """Declare as DataJoint 0.14 would, so that it can delete too."""
        is_postgresql = lab.server.backend == "postgresql"
        key = f"subject varchar(16){'' if is_postgresql else ' CHARACTER SET utf8mb4'} NOT NULL, session int NOT NULL"
        session, trial = lab.table("session"), lab.table("session__trial")
        parent = f"FOREIGN KEY (subject, session) REFERENCES {session} (subject, session)"
        statements = [
            f"CREATE TABLE {session} ({key}, note varchar(20) NOT NULL, PRIMARY KEY (subject, session))",
            f"CREATE TABLE {trial} ({key}, trial int NOT NULL, PRIMARY KEY (subject, session, trial), {parent})",
            f"INSERT INTO {session} VALUES ('m0', 1, 'x'), ('m0', 2, 'x'), ('m1', 1, 'x')",
            f"INSERT INTO {trial} VALUES ('m0', 1, 1), ('m1', 1, 1)",
        ]
        if not is_postgresql:
            statements.append(
                f"CREATE TABLE {lab.table('~log')} (id int unsigned AUTO_INCREMENT PRIMARY KEY, timestamp timestamp NOT NULL"
                " DEFAULT CURRENT_TIMESTAMP, version varchar(12), user varchar(255), host varchar(255), event varchar(255))"
            )
        for statement in statements:
            lab.server.query(lab.owner, statement)

    def _make_readable(self):
        """Run, as an admin, what the doctor prints for a stock MySQL."""
        found = self.session().doctor().findings
        (script,) = (finding.detail for finding in found if "CREATE TRIGGER" in finding.detail)
        for statement in script.replace("DELIMITER //", "").replace("DELIMITER ;", "").split("//"):
            if statement.strip():
                self.server.admin_query(statement)

    def link(self, lab_l, outbound):
        local = LazySchema(lab_l.local_schema, connection=self.connect(lab_l.user))
        place = {"host": self.server.host, "port": self.server.port, "backend": self.server.backend}
        account = {"user": self.lab.link.user, "password": self.lab.link.password, "use_tls": False}
        source = LazySchema(self.lab.source_schema, **place, **account, database_name=self.server.database_name)
        return Link(local, source, outbound=outbound)(type("Session", (), {}))

    def another_link(self):
        """Link the source once more, to another lab L by an outbound schema of its own, and let it pull the shared rows."""
        schema = self.lab.another_outbound()
        other = self.link(make_lab_l(self.server), schema)
        assert other.pull({"subject": "m0"}).pulled == 2
        if self.server.backend == "mysql":
            for account in (self.lab.owner, self.lab.member):
                names = self.lab.names(member=account.user, outbound_schema=schema)
                run_section(self.server, privileges.members(self.lab.product, names), self.lab.link)
        return other, schema

    def approve(self, session, outbound):
        """Have lab S ask for a shared row, and lab L let it go."""
        flags = self.lab.table(f"session_outbound{FLAGS[0]}", outbound)
        self.server.admin_query(f"INSERT INTO {flags} (subject, session) VALUES ('m0', 1)")
        assert (session & SHARED).delete(prompt=False).approved == 1

    def connect(self, account, server=None):
        server = server or self.server
        settings = {"database__name": server.database_name, "safemode": False}
        instance = dj.Instance(
            server.host, account.user, account.password, server.port, use_tls=False, backend=server.backend, **settings
        )
        self.opened.append(instance.connection)
        return instance.connection

    # ---- what attackers use

    def account(self, who):
        """Return an account, and make one of a mix of rights where it is not there yet."""
        if who not in self.accounts:
            self.accounts[who] = self._mixed(*(MIXES[rights] for rights in who.split("/")))
        return self.accounts[who]

    def _mixed(self, on_outbound, on_flags):
        made, admin = Account(f"mix_{secrets.token_hex(3)}", secrets.token_hex(8)), self.server.admin_query
        is_postgresql = self.server.backend == "postgresql"
        admin(f"CREATE {'ROLE' if is_postgresql else 'USER'} {made.user} " + (
            f"LOGIN PASSWORD '{made.password}'" if is_postgresql else f"IDENTIFIED BY '{made.password}'"))  # fmt: skip
        source = f"ALL TABLES IN SCHEMA {self.lab.source_schema}" if is_postgresql else f"{self.lab.source_schema}.*"
        admin(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {source} TO {made.user}")
        if is_postgresql:
            admin(f"GRANT USAGE ON SCHEMA {self.lab.source_schema} TO {made.user}")
        if is_postgresql and (on_outbound or on_flags):
            admin(f"GRANT USAGE ON SCHEMA {self.lab.outbound_schema} TO {made.user}")
        if on_outbound or on_flags:
            admin(f"GRANT SELECT ON {self.lab.outbound('~lineage')} TO {made.user}")
        for ends, rights in (([""], on_outbound), (FLAGS, on_flags)):
            for end in ends if rights else ():
                admin(f"GRANT {', '.join(rights)} ON {self.lab.outbound(f'session_outbound{end}')} TO {made.user}")
        return made

    def forget(self, who):
        """Take a mix of rights away again, of which the doctor speaks."""
        account = self.accounts.pop(who)
        for statement in ("DROP OWNED BY {}", "DROP ROLE {}") if self.product is Product.POSTGRESQL else ("DROP USER {}",):
            self.server.admin_query(statement.format(account.user))

    def sql(self, who, *statements):
        """Run statements in one session, with the names of `{s}` (the source), `{t}` (its part), `{o}` (outbound), … filled in."""
        names = {"s": self.lab.table("session"), "t": self.lab.table("session__trial"), "S": self.lab.source_schema}
        names |= {"o": self.lab.outbound("session_outbound"), "O": self.lab.outbound_schema}
        names |= {"j": self.lab.outbound("~link_journal"), "r": self.lab.outbound("~link_outbound")}
        names |= {"q": self.lab.outbound(f"session_outbound{FLAGS[0]}"), "a": self.lab.outbound(f"session_outbound{FLAGS[1]}")}
        names |= {"g": self.lab.outbound("~session_outbound_guard"), "d": self.lab.outbound("~session_outbound_delete")}
        names |= {"u": self.lab.link.user}
        connection = self.server.raw(self.account(who))
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement.format(**names))
        finally:
            connection.close()

    def module(self, who, schema, server=None):
        account = server.admin if server and who == "admin" else self.account(who)
        return dj.VirtualModule("module", schema, connection=self.connect(account, server))

    def source(self, who, server=None):
        return self.module(who, self.lab.source_schema, server).Session

    def outbound(self, who):
        return self.module(who, self.lab.outbound_schema).SessionOutbound

    # ---- what is seen

    def seen(self):
        """Return everything at lab S that an attack could change; None for a table that is gone."""
        lab = self.lab
        places = [lab.table("session"), lab.table("session__trial")]
        outbound = ["session_outbound", *(f"session_outbound{end}" for end in FLAGS), "~link_journal", "~link_outbound"]
        outbound += ["~session_outbound_guard"] if self.product is Product.MYSQL else []
        places += [lab.outbound(name) for name in outbound]
        schemas = (lab.source_schema, lab.outbound_schema)
        statement = _POSTGRESQL_CATALOG if self.server.backend == "postgresql" else _MYSQL_CATALOG
        catalog = sorted(map(str, self.server.admin_query(statement, (*schemas, *schemas, lab.link.user))))
        return {place: self._rows(place) for place in places} | {"catalog": catalog}

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

    def is_harmed(self, now):
        """Whether lab S's own tables are not as they were."""
        return any(now[place] != self.before[place] for place in (self.lab.table("session"), self.lab.table("session__trial")))

    def is_kept(self):
        """Whether every local row is registered and in the source, whatever that is called now."""
        local = self.keys(self.lab_l.table("session"))
        source = self.keys(self.lab.table("session")) | self.keys(self.lab.table("elsewhere"))
        return local <= self.keys(self.lab.outbound("session_outbound")) and local <= source

    def plainly(self, text):
        """Return what a server says with the documentation's names in it."""
        text = text.replace(f"{self.server.host}:{self.server.port}", "localhost:3306")
        return re.sub(rf"\b({'|'.join(PLAIN)})_[0-9a-f]{{6,10}}(_[0-9a-f]{{4}})?\b", lambda found: PLAIN[found[1]], text)

    def close(self):
        """Close what an attack has opened."""
        while self.opened:
            self.opened.pop().close()

    def end(self):
        self.opened += self.kept
        self.close()
