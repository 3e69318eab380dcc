"""What is made of a column found in a catalog, marks and lineage included, without a server."""

from __future__ import annotations

import pytest
from attrs import define, field
from datajoint.declare import match_type

from link.adapters.datajoint import catalog_mysql, catalog_postgresql
from link.adapters.datajoint.columns import plain_column
from link.adapters.datajoint.found import ForeignKey, FoundColumn, Mark, marked
from link.adapters.datajoint.lineage import Lineages
from link.adapters.datajoint.marks import core_type, mark, signed_bits
from link.adapters.datajoint.model import Column, Default, Kind
from link.domain.errors import ColumnNotSupported


def found(base, comment="", **facts):
    return FoundColumn(name="x", native=base, base=base, comment=comment, **facts)


@pytest.mark.parametrize(
    ("comment", "type", "rest"),
    [
        (":int32:a: b", "int32", "a: b"),
        (":enum('a:b','it''s'):kind", "enum('a:b','it''s')", "kind"),
        (":<blob>:", "<blob>", ""),
        ("plain: text", "", "plain: text"),
        (":datetime(3):two\nlines", "datetime(3)", "two\nlines"),
    ],
)
def test_a_comment_divides_and_joins_again(comment, type, rest):  # noqa: A002
    """A mark ends at its own colon, not at one inside an enum's label, and nothing of the comment is lost."""
    assert Mark.split(comment) == Mark(type, rest)
    assert marked(type, rest) == comment


@pytest.mark.parametrize(
    ("base", "comment", "reason"),
    [
        ("json", ":<unheard@s>:", "no codec <unheard>"),
        ("longblob", ":<object@s>:", "does not fit"),
        ("longblob", ":<rig>:", "no codec of its name 'rig'"),
        ("longblob", ":<npy>:", "own codec <npy>"),
        ("longblob", ":blob@s:", "store"),
        ("char", ":external-raw:", "0.11"),
        ("geometry", "", "none of those"),
        ("timetz", "", "none of those"),
        ("int", ":<blob>:", "reads bytes"),
    ],
)
def test_a_column_that_may_not_arrive_exactly_is_refused_with_its_reason(base, comment, reason):
    """No column is copied on a guess: marks and types outside the known ones are refused."""
    with pytest.raises(ColumnNotSupported, match=reason):
        plain_column("lab.t", found(base, comment), catalog_mysql.kinds, in_key=False)


@pytest.mark.parametrize("base", ["double", "float", "json", "longblob", "text", "bit", "set"])
def test_a_key_that_does_not_compare_is_refused(base):
    """Floats, JSON, blobs, bits, sets and unbounded text cannot be keys."""
    with pytest.raises(ColumnNotSupported, match="key"):
        plain_column("lab.t", found(base), catalog_mysql.kinds, in_key=True)


def test_defaults_come_in_wire_form():
    """Truth values, uuids and the current time have one form, and what has none on every server is left out."""

    def default(base, value=None, *, now=False):
        column = found(base, default=Default(value=value, now=now))
        return plain_column("lab.t", column, catalog_postgresql.kinds, in_key=False).default

    assert default("bool", "true") == Default(value="1")
    assert default("uuid", "00000000-0000-0000-0000-0000000000FF") == Default(value="0" * 30 + "ff")
    assert default("timestamp", now=True) == Default(now=True)
    assert default("date", now=True) is None
    assert default("date", "0000-00-00") is None
    assert default("bytea", "x") is None


def test_mysql_spells_labels_and_defaults_with_escapes():
    """Quotes and backslashes in labels and in MariaDB's defaults are read as the characters they stand for."""
    assert catalog_mysql.labels(r"enum('it''s','a\\b','c,d')") == ("it's", "a\\b", "c,d")
    read = catalog_mysql._maria_default
    assert read(r"'a\'b\\c'") == Default(value="a'b\\c")
    assert read("current_timestamp(3)") == Default(now=True)
    assert (read("NULL"), read("uuid()")) == (None, None)
    assert catalog_mysql._default("CURRENT_TIMESTAMP", "") == Default(value="CURRENT_TIMESTAMP")


@pytest.mark.parametrize(
    ("expression", "default"),
    [
        ("'it''s'::character varying", Default(value="it's")),
        ("E'a\\\\b'::character varying", Default(value="a\\b")),
        ("(-1.5)", Default(value="-1.5")),
        ("'-1'::integer", Default(value="-1")),
        ("true", Default(value="true")),
        ("now()", Default(now=True)),
        ("(CURRENT_TIMESTAMP)::timestamp without time zone", Default(now=True)),
        ("nextval('s'::regclass)", None),
        ("NULL::character varying", None),
    ],
)
def test_postgresql_spells_defaults_as_expressions(expression, default):
    """Casts and parentheses are taken off constants, and no other expression is kept or evaluated."""
    assert catalog_postgresql._default(expression) == default


def test_numerics_are_unpacked_from_their_modifier():
    """PostgreSQL packs digits and scale into one number, the scale with a sign."""
    assert catalog_postgresql._size("numeric", (10 << 16 | 2) + 4) == (10, 2)
    assert catalog_postgresql._size("numeric", (3 << 16 | (0x800 - 2)) + 4) == (3, -2)
    assert catalog_postgresql._size("timestamp", -1) == (6, None)


def test_every_kind_has_a_core_type():
    """Whatever can be copied to another backend is declared there in DataJoint's own words, where it has any."""
    facts = {Kind.STRING: 9, Kind.DECIMAL: 9, Kind.INTEGER: 32, Kind.DATETIME: 3}
    for kind in Kind:
        found = core_type(Column(name="x", kind=kind, native="", size=facts.get(kind), scale=2, labels=("a",)))
        assert found == "" if kind in {Kind.TIME, Kind.INSTANT, Kind.BITS} else match_type(found)


@pytest.mark.parametrize(
    ("bits", "unsigned", "wide"), [(8, False, 8), (8, True, 16), (24, True, 32), (32, True, 64), (64, True, None)]
)
def test_unsigned_integers_get_the_next_wider_type(bits, unsigned, wide):
    """The copy holds every value that the source can hold; the widest unsigned one needs a decimal."""
    assert signed_bits(Column(name="x", kind=Kind.INTEGER, native="", size=bits, unsigned=unsigned)) == wide


def test_marks_are_kept_at_home_and_given_abroad():
    """On the same backend an unmarked column stays unmarked, on another each gets a mark that DataJoint can read."""
    plain = Column(name="x", kind=Kind.INTEGER, native="int unsigned", size=32, unsigned=True)
    assert mark(plain, source="mysql", local="mysql") == ""
    assert mark(plain, source="mysql", local="postgresql") == "int64"
    colon = Column(name="x", kind=Kind.ENUM, native="", labels=("a:b",))
    assert mark(colon, source="mysql", local="postgresql") == ""
    flag = Column(name="x", kind=Kind.BOOL, native="boolean")
    assert mark(flag, source="postgresql", local="mysql") == "bool"


@define
class OneSchema:
    """A catalog of foreign keys."""

    keys: dict = field(factory=dict)

    def foreign_keys(self, _, schema):
        return self.keys.get(schema, [])


def key(table, column, parent, parent_column, schema="lab"):
    return ForeignKey(
        name="f",
        table=table,
        columns=(column,),
        parent_schema=schema,
        parent_table=parent,
        parent_columns=(parent_column,),
    )


def lineage(keys, table, column, recorded=None, *, in_key=True):
    known = recorded or {}
    return Lineages(None, OneSchema(keys), lambda schema: known.get(schema, {})).of(("lab", table, column), in_key=in_key)


def test_lineage_follows_foreign_keys_to_the_origin():
    """A renamed attribute comes from where its grandparent made it, in whatever schema."""
    keys = {"lab": [key("c", "z", "b", "y"), key("b", "y", "a", "x", "far")], "far": [key("a", "x", "o", "w", "far")]}
    assert lineage(keys, "c", "z", in_key=False) == "far.o.w"
    assert lineage(keys, "c", "own") == "lab.c.own"
    assert lineage(keys, "c", "value", in_key=False) == ""


def test_the_last_foreign_key_of_an_attribute_tells_where_it_comes_from():
    """DataJoint 2 takes the last one of a definition, and its `rebuild_lineage` does too."""
    assert lineage({"lab": [key("c", "z", "a", "x"), key("c", "z", "b", "y")]}, "c", "z") == "lab.b.y"


def test_lineage_ends_where_a_record_knows_more():
    """A table below a copy has the copy's lineage, which leads to the source and not to the copy."""
    keys = {"lab": [key("c", "z", "b", "y"), key("d", "w", "c", "z")]}
    assert lineage(keys, "d", "w", {"lab": {("b", "y"): "far.origin.y"}}) == "far.origin.y"


def test_a_table_that_refers_to_itself_ends_the_walk():
    """Loops of foreign keys have an origin too."""
    keys = {"lab": [key("c", "boss", "c", "id"), key("a", "x", "b", "y"), key("b", "y", "a", "x")]}
    assert lineage(keys, "c", "boss") == "lab.c.id"
    assert lineage(keys, "a", "x") == "lab.b.y"
