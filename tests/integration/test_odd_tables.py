"""Tables that DataJoint 2 would not declare, pulled whole."""

from __future__ import annotations

import pytest

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
