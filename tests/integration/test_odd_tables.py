"""Tables that DataJoint 2 would not declare, pulled whole."""

from __future__ import annotations

import json

import datajoint as dj
import pytest
from servers import Product

CHANGED = [(Product.POSTGRESQL, Product.MARIADB), (Product.MARIADB, Product.MYSQL), (Product.MYSQL, Product.POSTGRESQL)]
ODD = r"""CREATE TABLE {} (
 id int unsigned NOT NULL, lab varchar(10) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL,
 e enum('it''s','b:c','back\\slash','5%') CHARACTER SET utf8mb4, t tinyint(1) NOT NULL, b bigint unsigned, m mediumint unsigned,
 du decimal(8,3) unsigned, g int GENERATED ALWAYS AS (t + 1) STORED, txt text CHARACTER SET utf8mb4, upd datetime(2), bl blob,
 _hidden float, PRIMARY KEY (lab, id)) ENGINE=InnoDB"""


def test_an_old_table_is_pulled_and_deleted(lab_s, lab_l, link):
    """Unsigned maxima, odd labels, generated values and a key in another order than the columns arrive, twice over."""
    if lab_s.server.backend == "postgresql":
        pytest.skip("a table of the MySQL family")
    server = lab_s.server
    server.admin_query(ODD.format(lab_s.table("legacy")))
    row = (
        4294967295,
        "b",
        "back\\slash",
        7,
        18446744073709551615,
        16777215,
        "12345.678",
        "é\\'\t\n",
        "2020-01-02 03:04:05.67",
    )
    for number in (row, (1, "a", "5%", -3, 0, 0, "0", "", "2020-01-01"), (1, "b", "b:c", 0, None, None, None, None, None)):
        server.admin_query(
            f"INSERT INTO {lab_s.table('legacy')} (id, lab, e, t, b, m, du, txt, upd) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s)",
            number,
        )
    legacy = link(lab_s, lab_l, type("Legacy", (), {}))
    legacy().pull()
    columns = "id, lab, e, t, b, m, du, g, txt, upd"

    def rows(lab):
        found = lab.server.admin_query(f"SELECT {columns} FROM {lab.table('legacy')} ORDER BY lab, id")
        return [tuple(None if value is None else str(value) for value in row) for row in found]

    assert [(row[0], row[1], row[3:6]) for row in rows(lab_l)] == [(row[0], row[1], row[3:6]) for row in rows(lab_s)]
    assert [row[6:9] for row in rows(lab_l)] == [row[6:9] for row in rows(lab_s)]
    assert [(row[2], row[9]) for row in rows(lab_l)] == [(row[2], row[9]) for row in rows(lab_s)]
    assert (legacy() & {"lab": "b"}).delete() == 2
    assert lab_l.count("legacy") == 1


def plain(row):
    return tuple(json.loads(value) if str(value).startswith('{"') else value for value in row)


@pytest.mark.parametrize("pair", CHANGED, indirect=True, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}")
def test_what_datajoint_hides_comes_along(lab_s, lab_l, link, connect):
    """Job metadata and provenance, which fetch and insert do not see, arrive as they are, and stay hidden."""
    theirs = connect(lab_s, lab_s.owner)
    theirs._config.jobs.add_job_metadata = theirs._config.provenance.capture = True
    theirs._config.provenance.source = {"rig": "it's 1"}
    schema = dj.Schema(lab_s.source_schema, connection=theirs)
    animal = schema(type("Animal", (dj.Manual,), {"definition": "animal : int32"}), context={})
    animal.insert([(1,), (2,)])
    members = {
        "definition": "-> Animal\n---\nlength : float64",
        "make": lambda self, key: self.insert1({**key, "length": 0.5}),
    }
    schema(type("Fit", (dj.Computed,), members), context={"Animal": animal}).populate()
    connection = connect(lab_l, lab_l.user)
    copies = {name: link(lab_s, lab_l, type(name, (), {}), connection=connection) for name in ("Animal", "Fit")}
    seen = {}
    for name, wanted in (("Animal", ["_prov"]), ("Fit", ["_job_start_time", "_job_duration * 1e0", "_job_version"])):
        assert copies[name].pull().pulled == 2
        assert not any(column.startswith("_") for column in copies[name]().heading.names)
        for lab in (lab_s, lab_l):
            table = lab.table(("__" if name == "Fit" else "") + name.lower())
            rows = lab.server.admin_query(f"SELECT {', '.join(wanted)} FROM {table} ORDER BY animal")
            seen.setdefault(name, []).append([plain(row) for row in rows])
    assert seen["Animal"][0] == seen["Animal"][1]
    assert "it's 1" in str(seen["Animal"][0])
    assert seen["Fit"][0] == seen["Fit"][1]
    assert all(row[0] is not None for row in seen["Fit"][0])
    assert len(copies["Animal"]() * copies["Fit"]()) == 2
