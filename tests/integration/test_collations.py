"""Keys that one server's collation takes for equal and another's does not, and NULL beside a default."""

from __future__ import annotations

import pytest
from servers import Product

MARIADB, MYSQL, PG = Product.MARIADB, Product.MYSQL, Product.POSTGRESQL


def on(*pairs):
    return pytest.mark.parametrize("pair", pairs, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)


@on((MYSQL, PG), (MARIADB, PG), (MARIADB, MYSQL))
def test_a_part_row_that_spells_its_master_otherwise(lab_s, lab_l, link):
    """Lab S's foreign key takes `ANN` for `ann`: the part row arrives with its master, or the entity is left out by name."""
    query = lab_s.server.query
    key = "name varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    query(lab_s.owner, f"CREATE TABLE {lab_s.table('animal')} ({key} PRIMARY KEY)")
    reference = f"FOREIGN KEY (name) REFERENCES {lab_s.table('animal')} (name)"
    query(lab_s.owner, f"CREATE TABLE {lab_s.table('animal__ear')} ({key}, ear int, PRIMARY KEY (name, ear), {reference})")
    query(lab_s.owner, f"INSERT INTO {lab_s.table('animal')} VALUES ('ann'), ('bob')")
    query(lab_s.owner, f"INSERT INTO {lab_s.table('animal__ear')} VALUES ('ann', 1), ('ANN', 2), ('bob', 1)")
    result = link(lab_s, lab_l, type("Animal", (), {})).pull()
    ears = sorted(map(tuple, lab_l.server.admin_query(f"SELECT name, ear FROM {lab_l.table('animal__ear')}")))
    if lab_l.server.product is not PG:
        assert (result.pulled, ears) == (2, [("ANN", 2), ("ann", 1), ("bob", 1)])
        return
    assert (result.pulled, ears) == (1, [("bob", 1)])
    (fault,) = result.not_representable
    assert (fault.table, fault.column, fault.key, fault.value) == ("animal__ear", "name", {"name": "ANN", "ear": "2"}, "'ANN'")
    assert "its master has 'ann'" in str(fault)
    assert lab_s.count("animal_outbound", lab_s.outbound_schema) == 1
    query(lab_s.owner, f"UPDATE {lab_s.table('animal__ear')} SET name = 'ann' WHERE ear = 2")
    assert link(lab_s, lab_l, type("Animal", (), {})).pull().pulled == 1


@on((MARIADB, MYSQL), (MYSQL, MARIADB), (PG, MYSQL))
def test_keys_that_are_one_on_the_local_side(lab_s, lab_l, link):
    """Of two keys that the local collation takes for one neither is registered; both are named, and the others are pulled."""
    text = "varchar(9)" if lab_s.server.product is PG else "varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci"
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('word')} (word {text} PRIMARY KEY, n int)")
    lab_s.server.query(
        lab_s.owner, f"INSERT INTO {lab_s.table('word')} VALUES ('ss', 1), ('ß', 2), ('o', 3), ('ö', 4), ('x', 5)"
    )
    lab_l.server.admin_query(f"ALTER DATABASE {lab_l.local_schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    result = link(lab_s, lab_l, type("Word", (), {})).pull()
    assert result.pulled == lab_s.count("word_outbound", lab_s.outbound_schema) == lab_l.count("word") == 1
    assert sorted(conflict.key["word"] for conflict in result.conflicts) == ["o", "ss", "ß", "ö"]


@on((PG, MARIADB), (MARIADB, MYSQL), (MYSQL, PG))
def test_null_stays_null_beside_a_default(lab_s, lab_l, link):
    """A NULL in a column that has a default is NULL in the copy, of a number, a text and a time."""
    pg = lab_s.server.product is PG
    columns = (
        f"n int DEFAULT 5, w varchar(9) DEFAULT 'x', d {'timestamp(0)' if pg else 'datetime'} DEFAULT '2020-01-02 10:20:30'"
    )
    lab_s.server.query(lab_s.owner, f"CREATE TABLE {lab_s.table('thing')} (id int PRIMARY KEY, {columns})")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('thing')} VALUES (1, NULL, NULL, NULL)")
    lab_s.server.query(lab_s.owner, f"INSERT INTO {lab_s.table('thing')} (id) VALUES (2)")
    thing = link(lab_s, lab_l, type("Thing", (), {}), allow_direct_insert=True)
    assert thing.pull().pulled == 2
    thing.insert1({"id": 3})
    one, two, three = thing.to_dicts(order_by="id")
    assert one == {"id": 1, "n": None, "w": None, "d": None}
    assert str(two["d"]) == "2020-01-02 10:20:30"
    assert {**two, "id": 3} == three
