"""What may befall registered rows at lab S: every attack, by whom, and on which products."""

from __future__ import annotations

import datajoint as dj
import legacy
import servers
from attack_scene import FREE, MIXES, PARTLESS, SHARED
from attrs import evolve, frozen
from backups import dump, load
from servers import Product

PG, MARIADB, MYSQL = Product
FAMILY = (MARIADB, MYSQL)
ALL = ("member", "owner", "admin")
OWNERS = ("owner", "admin")
ENDS = ("member", "admin")


@frozen
class Attack:
    """One way to do harm, by each of some accounts; `act(scene, who)` raises where it is refused."""

    name: str
    who: tuple
    act: object
    products: tuple = tuple(Product)
    told: bool = False
    """Whether an admin has run what the doctor prints for a stock MySQL."""
    slow: bool = False
    """Whether it is left to `LINK_ATTACKS=all`."""


def sql(*statements):
    return lambda scene, who: scene.sql(who, *statements)


def each(**by_product):
    """Run statements that are spelled differently on the products."""

    def act(scene, who):
        scene.sql(who, by_product.get(scene.product.value) or by_product[scene.server.backend])

    return act


def delete(key, **options):
    return lambda scene, who: (scene.source(who) & key).delete(**options)


def then_delete(act):
    """Delete a shared row with DataJoint after something else."""

    def both(scene, who):
        act(scene, who)
        (scene.source(who) & SHARED).delete()

    return both


def on_parts(**options):
    return lambda scene, who: (scene.source(who).Trial & SHARED).delete(**options)


def replace(key):
    return lambda scene, who: scene.source(who).insert1({**key, "note": "new"}, replace=True)


def drop_schema(which):
    def act(scene, who):
        name = scene.lab.source_schema if which == "source" else scene.lab.outbound_schema
        dj.Schema(name, connection=scene.connect(scene.account(who)), create_schema=False).drop(prompt=False)

    return act


OLD = """
lab = dj.VirtualModule("lab", os.environ["SOURCE"], create_schema=False)
(lab.Session & dict(subject="%(subject)s", session=%(session)s)).delete()
"""


def old_client(version, key):
    return lambda scene, who: legacy.run(OLD % key, scene.lab, scene.account(who), version)


def approved(act):
    """Do it once lab L has let the shared row go."""

    def after(scene, who):
        scene.approve(scene.session(), scene.lab.outbound_schema)
        act(scene, who)

    return after


def of_two_links(act, *, both):
    """Do it once one of two links, or both, have let the shared row go."""

    def after(scene, who):
        scene.approve(*scene.another_link())
        if both:
            scene.approve(scene.session(), scene.lab.outbound_schema)
        act(scene, who)

    return after


# ---- backups


def _gone(scene, *schemas):
    kind, end = ("SCHEMA", " CASCADE") if scene.product is PG else ("DATABASE", "")
    off = [] if scene.product is PG else ["SET foreign_key_checks = 0"]
    scene.sql("admin", *off, *(f"DROP {kind} {schema}{end}" for schema in schemas))


def restore_both(scene, who):
    """Dump lab S's two schemas, drop them, restore them, and see that nothing is wrong."""
    schemas = scene.lab.source_schema, scene.lab.outbound_schema
    made = dump(scene.server, *schemas)
    _gone(scene, *schemas)
    load(scene.server, made)
    assert scene.session().doctor().healthy


def restore_source(scene, who):
    """Dump the source schema alone, drop it, and restore it."""
    made = dump(scene.server, scene.lab.source_schema)
    _gone(scene, scene.lab.source_schema)
    load(scene.server, made)


def restore_elsewhere(scene, who):
    """Restore both schemas on a server of the same product that has lab S's accounts, and delete there."""
    other = servers.get(scene.product, "local")
    accounts = {scene.lab.owner: scene.lab.source_schema, scene.lab.member: scene.lab.source_schema, scene.lab.link: None}
    for account, schema in accounts.items():
        if scene.product is PG:
            there = other.admin_query("SELECT 1 FROM pg_roles WHERE rolname = %s", (account.user,))
            statements = [] if there else [f"CREATE ROLE {account.user} LOGIN PASSWORD '{account.password}'"]
        else:
            statements = [f"CREATE USER IF NOT EXISTS {account.user} IDENTIFIED BY '{account.password}'"]
            statements += [f"GRANT ALL ON {schema or scene.lab.outbound_schema}.* TO {account.user}"]
            statements += [f"GRANT SELECT, DELETE ON {scene.lab.outbound_schema}.* TO {account.user}"] if schema else []
        for statement in statements:
            other.admin_query(statement)
    load(other, dump(scene.server, scene.lab.source_schema, scene.lab.outbound_schema))
    (scene.source(who, other) & SHARED).delete()


def older_rows(scene, who):
    """Put the source's rows back to where they were before a shared one was inserted, as a restore does."""
    off = "SET session_replication_role = replica" if scene.product is PG else "SET foreign_key_checks = 0"
    scene.sql(who, off, "DELETE FROM {s} WHERE session = 2")


# ---- the list

DROP_KEY = each(postgresql="ALTER TABLE {s} DROP CONSTRAINT session_pkey", mysql="ALTER TABLE {s} DROP PRIMARY KEY")
RENAME = each(postgresql="ALTER TABLE {s} RENAME TO elsewhere", mysql="ALTER TABLE {s} RENAME TO {S}.elsewhere")
NO_TRIGGER = each(postgresql="DROP TRIGGER link_guard_rows ON {o}", mariadb="DROP TRIGGER {d}", mysql="DROP TABLE {g}")
NO_FOREIGN_KEY = each(
    postgresql="ALTER TABLE {o} DROP CONSTRAINT session_outbound_subject_session_fkey",
    mysql="ALTER TABLE {o} DROP FOREIGN KEY session_outbound_ibfk_1",
)
FORGED = "INSERT INTO {a} (subject, session) VALUES ('m0', 1)"

ROWS = (
    Attack("`(Session & key).delete()`", ALL, delete(SHARED)),
    Attack('the same with `part_integrity="ignore"`', ALL, delete(SHARED, part_integrity="ignore")),
    Attack('the same with `part_integrity="cascade"`', ALL, delete(SHARED, part_integrity="cascade")),
    Attack("`Session.delete()`, shared rows among others", ALL, delete("TRUE")),
    Attack('`Session.Trial.delete(part_integrity="cascade")`', ALL, on_parts(part_integrity="cascade")),
    Attack("`delete_quick()`", ALL, lambda scene, who: (scene.source(who) & PARTLESS).delete_quick()),
    Attack("DELETE", ALL, sql("DELETE FROM {s} WHERE session = 2")),
    Attack("UPDATE of the key", ALL, sql("UPDATE {s} SET session = 77 WHERE session = 2")),
    Attack("DELETE IGNORE", ALL, sql("DELETE IGNORE FROM {s} WHERE session = 2"), FAMILY),
    Attack("`insert(replace=True)`, a row with parts", ALL, replace(SHARED)),
    Attack("`insert(replace=True)`, a row without parts", ALL, replace(PARTLESS)),
    Attack("UPDATE of other columns", ALL, sql("UPDATE {s} SET note = 'new' WHERE subject = 'm0'")),
    Attack('`Session.Trial.delete(part_integrity="ignore")`', ALL, on_parts(part_integrity="ignore")),
    Attack("`delete()` of a row that is not shared", ALL, delete(FREE)),
    Attack("`delete()` of an approved row", ALL, approved(delete(SHARED))),
)
OLDER = tuple(
    Attack(f"{version}: `delete()` of {what}", ALL, act(old_client(version, key)), FAMILY, slow=what != "a shared row")
    for version in ("0.14", "0.13")
    for what, key, act in (
        ("a shared row", SHARED, lambda act: act),
        ("a row that is not shared", FREE, lambda act: act),
        ("an approved row", SHARED, approved),
    )
)
TABLES = (
    Attack("`Session.drop()`", ALL, lambda scene, who: scene.source(who).drop(prompt=False)),
    Attack("`Session.drop_quick()`", OWNERS, lambda scene, who: scene.source(who)().drop_quick()),
    Attack("DROP TABLE", ALL, sql("DROP TABLE {s}")),
    Attack("dropping the primary key", OWNERS, DROP_KEY),
    Attack("TRUNCATE", ALL, sql("TRUNCATE TABLE {s}")),
    Attack("TRUNCATE … CASCADE", OWNERS, sql("TRUNCATE TABLE {s} CASCADE"), (PG,)),
    Attack('`Session.Trial.drop(part_integrity="ignore")`', OWNERS,
           lambda scene, who: scene.source(who).Trial().drop(part_integrity="ignore")),
    Attack("DROP TABLE of a part", OWNERS, sql("DROP TABLE {t}")),
    Attack("renaming the table", OWNERS, RENAME),
    Attack("DROP TABLE … CASCADE", OWNERS, sql("DROP TABLE {s} CASCADE"), (PG,)),
    Attack("dropping the primary key … CASCADE", OWNERS, sql("ALTER TABLE {s} DROP CONSTRAINT session_pkey CASCADE"), (PG,)),
    Attack("the schema's `drop()`", OWNERS, drop_schema("source")),
    Attack("DROP SCHEMA … CASCADE, DROP DATABASE", OWNERS,
           each(postgresql="DROP SCHEMA {S} CASCADE", mysql="DROP DATABASE {S}")),
)  # fmt: skip
OUTBOUND = (
    Attack("`SessionOutbound.delete()`", ALL, lambda scene, who: scene.outbound(who).delete()),
    Attack("`SessionOutbound.delete_quick()`", ALL, lambda scene, who: scene.outbound(who)().delete_quick()),
    Attack("DELETE of outbound", ALL, sql("DELETE FROM {o}")),
    Attack("DELETE IGNORE of outbound", ALL, sql("DELETE IGNORE FROM {o}"), FAMILY),
    Attack("UPDATE of outbound's key", ALL, sql("UPDATE {o} SET session = 77 WHERE session = 1")),
    Attack("TRUNCATE of outbound", ALL, each(postgresql="TRUNCATE TABLE {o} CASCADE", mysql="TRUNCATE TABLE {o}")),
    Attack("UPDATE of `link_held`, then `delete()`", ALL, then_delete(sql("UPDATE {o} SET link_held = NULL"))),
    Attack("INSERT into DeletionApproved, then `delete()`", ALL, then_delete(sql(FORGED))),
    Attack("`SessionOutbound.drop()`", ALL, lambda scene, who: scene.outbound(who).drop(prompt=False)),
    Attack("DROP TABLE of outbound", ALL, sql("DROP TABLE {o}")),
    Attack("DROP TABLE of outbound and its flags", ALL, sql("DROP TABLE {q}, {a}", "DROP TABLE {o}")),
    Attack("the outbound schema's `drop()`", ALL, drop_schema("outbound")),
    Attack("DELETE of the journal", ALL, sql("DELETE FROM {j}")),
    Attack("TRUNCATE of the journal", ALL, sql("TRUNCATE TABLE {j}")),
    Attack("DELETE of Link's registry", ALL, sql("DELETE FROM {r}")),
    Attack("TRUNCATE of Link's registry", ALL, sql("TRUNCATE TABLE {r}")),
    Attack("DELETE of the guard's rows", ENDS, sql("DELETE FROM {g}"), (MYSQL,)),
    Attack("UPDATE and DELETE of the guard's rows, then `delete()`", ENDS,
           then_delete(sql("UPDATE {g} SET link_self_0 = NULL", "DELETE FROM {g}")), (MYSQL,)),
    Attack("TRUNCATE of the guard's table, then `delete()`", ENDS, then_delete(sql("TRUNCATE TABLE {g}")), (MYSQL,)),
    Attack("dropping the guard, then `delete()`", ENDS, then_delete(NO_TRIGGER)),
    Attack("dropping outbound's foreign key, then DELETE of the source", ENDS,
           lambda scene, who: (NO_FOREIGN_KEY(scene, who), scene.sql(who, "DELETE FROM {s} WHERE session = 2"))),
    Attack("dropping the link's account", ENDS, each(postgresql="DROP ROLE {u}", mysql="DROP USER {u}")),
    Attack("dropping the link's account with all it owns", ("admin",), sql("DROP OWNED BY {u} CASCADE", "DROP ROLE {u}"), (PG,)),
    Attack("an admin drops the link's account, then `delete()`", OWNERS,
           lambda scene, who: (scene.sql("admin", "DROP USER {u}"), delete(SHARED)(scene, who)), FAMILY),
)  # fmt: skip
PAST = (
    Attack("SET foreign_key_checks = 0, then DELETE of the source", ALL,
           sql("SET foreign_key_checks = 0", "DELETE FROM {s} WHERE session = 2"), FAMILY),
    Attack("SET foreign_key_checks = 0, then DROP TABLE of the source", OWNERS,
           sql("SET foreign_key_checks = 0", "DROP TABLE {s}"), FAMILY),
    Attack("SET foreign_key_checks = 0, then DELETE of outbound", ALL,
           sql("SET foreign_key_checks = 0", "DELETE FROM {o}"), FAMILY),
    Attack("SET session_replication_role = replica, then DELETE of the source", ALL,
           sql("SET session_replication_role = replica", "DELETE FROM {s} WHERE session = 2"), (PG,)),
    Attack("DISABLE TRIGGER ALL on outbound, then `delete()`", ALL,
           then_delete(sql("ALTER TABLE {o} DISABLE TRIGGER ALL")), (PG,)),
)  # fmt: skip
BACKUPS = (
    Attack("dump and restore of both schemas, then `delete()`", OWNERS, then_delete(restore_both)),
    Attack("dump of both, restored on another server, `delete()` there", OWNERS, restore_elsewhere, slow=True),
    Attack("dump and restore of the source schema alone, then `delete()`", OWNERS, then_delete(restore_source)),
    Attack("dump and restore of the source schema alone, then DELETE", OWNERS,
           lambda scene, who: (restore_source(scene, who), scene.sql(who, "DELETE FROM {s} WHERE session = 2"))),
    Attack("restore of source rows from before one was shared", ("admin",), older_rows),
)  # fmt: skip
MIXED = tuple(f"{outbound}/{flags}" for outbound in MIXES for flags in MIXES)
SECTIONS = {
    "Rows of the source": ROWS,
    "DataJoint 0.13 and 0.14": OLDER,
    "The source's tables": TABLES,
    "Outbound, the journal, the guard": OUTBOUND,
    "Past every guard": PAST,
    "Backups": BACKUPS,
    "Two links on one source": (
        Attack("`delete()` of a row that one of the two has approved", ALL, of_two_links(delete(SHARED), both=False)),
        Attack("`delete()` of a row that both have approved", ALL, of_two_links(delete(SHARED), both=True)),
    ),
    "Rights on outbound": (
        Attack("`delete()` of a shared row", MIXED, delete(SHARED)),
        Attack("`delete()` of a row that is not shared", MIXED, delete(FREE)),
        Attack("DELETE of outbound", MIXED, sql("DELETE FROM {o}")),
        Attack("UPDATE of `link_held`, then `delete()`", MIXED, then_delete(sql("UPDATE {o} SET link_held = NULL"))),
    ),
    "MySQL with the triggers that `doctor` prints": (
        Attack("2.3: `delete()` of a shared row", ALL, delete(SHARED), (MYSQL,), told=True),
        *(evolve(a, products=(MYSQL,), told=True, slow=a.slow or a.name.startswith("0.13")) for a in OLDER),
        Attack("2.3: `delete()` of an approved row", ALL, approved(delete(SHARED)), (MYSQL,), told=True),
    ),
}
