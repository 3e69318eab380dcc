"""A pipeline that DataJoint 0.12 to 0.14 declared and wrote, linked table by table, reads as it does for their users."""

from __future__ import annotations

import json

import datajoint as dj
import legacy
import legacy_pipeline
import pytest
import servers
from attrs import evolve, frozen
from labs import LabS, make_lab_s
from legacy_pipeline import FILES, MASTERS, PARTS, QUERIES
from servers import Product


def on(pairs):
    return pytest.mark.parametrize("pair", pairs, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)


SOURCES = (Product.MARIADB, Product.MYSQL)
every_pair = on([(source, local) for source in SOURCES for local in Product])
to_postgresql = on([(source, Product.POSTGRESQL) for source in SOURCES])
representative = on([(Product.MARIADB, Product.MYSQL), (Product.MYSQL, Product.POSTGRESQL)])
UNREADABLE = {"Subject": ("subject_uuid",), "Session": ("notes",), "Sorting.Unit": ("unit_uuid",)}
"""What DataJoint 2.3.5 cannot fetch from PostgreSQL: uuids and attached files; compared in SQL."""


class RigSettings(dj.Codec):
    """What lab S's adapter of this name does."""

    name = "rig_settings"

    def get_dtype(self, is_store):
        return "<blob>"

    def encode(self, value, *, key=None, context=None, store_name=None):
        return {"pairs": sorted(value.items())}

    def decode(self, stored, *, key=None, context=None):
        return dict(stored["pairs"])


class Stars(dj.Codec):
    """An adapter over a native type."""

    name = "stars"

    def get_dtype(self, is_store):
        return "varchar(12)"

    def encode(self, value, *, key=None, context=None, store_name=None):
        return "*" * value

    def decode(self, stored, *, key=None, context=None):
        return len(stored)


@frozen
class Pipeline:
    """Lab S's pipeline, how a user of its DataJoint sees it, and what its schema consisted of before anybody linked it."""

    lab: LabS
    seen: dict
    before: dict


def traces(lab):
    """Return every table of the source schema with its definition and contents, and its triggers and views."""
    query, schema = lab.server.admin_query, lab.source_schema
    names = [row[0] for row in query(f"SHOW TABLES FROM {schema}")]
    tables = {
        name: (query(f"SHOW CREATE TABLE {lab.table(name)}")[0][1], query(f"CHECKSUM TABLE {lab.table(name)}"))
        for name in names
    }
    return {"tables": tables, "triggers": query(f"SHOW TRIGGERS FROM {schema}")}


@pytest.fixture(scope="module")
def pipelines():
    """Return a function that has one version declare and another compute lab S's pipeline on a product's server, once."""
    made = {}

    def make(product, declares, computes):
        if (product, declares) not in made:
            lab = make_lab_s(servers.get(product, "source"))
            compute = legacy_pipeline.COMPUTE + legacy_pipeline.WRITE_COMPUTED + legacy_pipeline.SHOW
            legacy.run(legacy_pipeline.DECLARE + legacy_pipeline.WRITE, lab, lab.owner, declares)
            said = legacy.run(compute, lab, lab.owner, computes)
            seen = json.loads(said.splitlines()[-1])
            made[product, declares] = Pipeline(lab, seen, traces(lab))
        return made[product, declares]

    return make


@pytest.fixture
def versions():
    return "0.13", "0.14"


@pytest.fixture
def pipeline(pair, pipelines, versions):
    return pipelines(pair[0], *versions)


@pytest.fixture
def linked(pipeline, lab_l, link, connect):
    """Link and pull every table."""
    connection, outbound = connect(lab_l, lab_l.user), pipeline.lab.another_outbound()
    classes = {
        name: link(pipeline.lab, lab_l, type(name, (), {}), connection=connection, outbound=outbound) for name in MASTERS
    }
    for cls in classes.values():
        assert cls.pull().conflicts == ()
    return classes


def in_sql(lab, name):
    """Return uuids or attached files as their server spells them."""
    table = {"Subject": "subject", "Session": "session", "Sorting.Unit": "__sorting__unit"}[name]
    (column,), postgresql = UNREADABLE[name], lab.server.backend == "postgresql"
    digits = f"encode({column}, 'hex')" if column == "notes" else f"replace({column}::text, '-', '')"
    select = f"SELECT {digits if postgresql else f'LOWER(HEX({column}))'} FROM {lab.table(table)}"
    return sorted((row[0] for row in lab.server.admin_query(select)), key=repr)


@every_pair
def test_copies_read_as_at_the_source(pipeline, pair, lab_l, linked, tmp_path, monkeypatch):
    """Every value of every table and every join come out under 2.3.5 as they do for a 0.14 user at the source."""
    monkeypatch.chdir(tmp_path)
    reads_the_same(pipeline, pair, lab_l, linked)


@pytest.mark.parametrize("versions", [("0.12", "0.12")], ids=["0.12"])
@representative
def test_copies_read_as_for_0_12(pipeline, pair, lab_l, linked, tmp_path, monkeypatch):
    """So they do where 0.12 alone declares, writes, computes and reads."""
    monkeypatch.chdir(tmp_path)
    reads_the_same(pipeline, pair, lab_l, linked)


def reads_the_same(pipeline, pair, lab_l, linked):
    look, unreadable = {}, UNREADABLE if pair[1] is Product.POSTGRESQL else {}
    exec(legacy_pipeline.LOOK, look)
    for name in MASTERS + PARTS:
        without = unreadable.get(name, ())
        master, _, part = name.partition(".")
        table = getattr(linked[master], part)() if part else linked[master]()
        names, *rows = pipeline.seen[name]
        kept = [place for place, column in enumerate(names) if column not in without]
        expected = [names[place] for place in kept], sorted(([row[place] for place in kept] for row in rows), key=repr)
        found, *copies = json.loads(json.dumps(look["look"](table, FILES.get(name, ()), without)))
        assert (found, copies) == expected, name
    for name, (expression, wanted) in QUERIES.items():
        copies = look["look"](eval(expression, dict(linked)), wanted=wanted.split())
        assert json.loads(json.dumps(copies)) == pipeline.seen[name], name
    for name in unreadable:
        assert in_sql(lab_l, name) == in_sql(pipeline.lab, name)


@to_postgresql
def test_nothing_is_left_in_the_source_schema(pipeline, lab_l, link, connect):
    """Linking, browsing, pulling, refreshing, deleting and dropping change nothing there, even with an admin's rights."""
    lab, connection = pipeline.lab, connect(lab_l, lab_l.user)
    almighty = evolve(lab, link=lab.server.admin)
    outbound = lab.another_outbound()
    for name in ("Rig", "Session", "Sorting"):
        cls = link(almighty, lab_l, type(name, (), {}), connection=connection, outbound=outbound)
        assert len(cls.source()) == len(pipeline.seen[name]) - 1
        assert cls.pull().pulled == len(cls()) == len(pipeline.seen[name]) - 1
        assert str(cls.source().heading)
        assert not cls.source().parents() or cls.refresh().requested == 0
        assert (cls() & dj.Top(1)).delete().released == 1
        cls.drop()
    assert traces(lab) == pipeline.before


GO_ON = (
    legacy_pipeline.DECLARE
    + """
number = int(os.environ["NUMBER"])
assert Session.fetch("session", as_dict=True) and Session.heading["notes"].is_attachment
assert len((Session & "notes is not null").fetch("notes", download_path=__import__("tempfile").mkdtemp())) > 1
Session.insert1(dict(subject="m0", session=number % 100 + 3, rig=1))
Session.Trial.insert1(dict(subject="m0", session=number % 100 + 3, trial=1, outcome="hit", reaction=0.5, stimulus=np.arange(3)))
(Session & dict(subject="m1", session=number)).delete()
(Subject & dict(subject="m2")).delete()
try:
    (Session & dict(subject="m0", session=1)).delete()
except Exception as error:
    print("refused", type(error).__name__)
"""
)


@to_postgresql
def test_older_clients_go_on(lab_s, lab_l, link):
    """After linking 0.12 to 0.14 read, insert and delete unshared rows with all below them, and are refused on shared ones."""
    legacy.run(legacy_pipeline.DECLARE + legacy_pipeline.WRITE, lab_s, lab_s.owner)
    session = link(lab_s, lab_l)
    assert session.pull({"subject": "m0"}).pulled == 3
    lab_s.befriend()
    for number, version in ((1, "0.12"), (2, "0.13"), (65535, "0.14")):
        said = legacy.run(GO_ON, lab_s, lab_s.owner, version, NUMBER=str(number))
        assert said.splitlines()[-1].startswith("refused")
    assert (lab_s.count("subject"), lab_s.count("session"), lab_s.count("session__trial")) == (2, 6, 12)
    assert session.pull().pulled == 3
    assert (lab_l.count("session"), lab_l.count("session__trial")) == (6, 12)
