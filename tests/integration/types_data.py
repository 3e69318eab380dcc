r"""Every column type that a source can have, with its values at the edge: data for `types_table.py`, which says what becomes of them.

A column is called after its place. Values are SQL of the source's own family; what is shown of them in the docs is their label.
"""

from __future__ import annotations

from attrs import field, frozen
from servers import Product

PG, MARIADB, MYSQL = Product.POSTGRESQL, Product.MARIADB, Product.MYSQL


@frozen
class Value:
    """A value as SQL, and as the docs name it where it is refused."""

    sql: str
    label: str = field()
    lax: bool = False
    """Whether only a session without strict mode stores it."""

    @label.default
    def _label(self):
        return self.sql.strip("'").split("'::")[0]


@frozen(kw_only=True)
class Type:
    """A column type of a source, and how its values are made comparable in SQL."""

    name: str
    """As the docs call it."""
    ddl: str
    shape: str
    """Which of `SHAPES` in `types_table.py` compares it."""
    values: tuple[Value, ...] = field(
        default=(), converter=lambda values: tuple(v if isinstance(v, Value) else Value(v) for v in values)
    )
    """Without any, the server fills the column itself."""
    mark: str = ""
    products: tuple[Product, ...] = tuple(Product)


def _signed(bits):
    return (str(-(2 ** (bits - 1))), str(2 ** (bits - 1) - 1), "0", "-1")


def _unsigned(bits):
    return ("0", "1", str(2**bits - 1), str(2 ** (bits - 1)))


def _hex(text, charset="utf8mb4"):
    return f"_{charset} X'{text.hex() if isinstance(text, bytes) else text.encode().hex()}'"


LETTERS = "aß€é"
TEXTS = ["", "it's", 'dou"ble', "back\\slash", "100% %s", "tab\tline\nend\r", "trailing  ", " leading", "null", "\\N", "é ж 文", "😀"]  # fmt: skip
ZERO = Value("'0000-00-00'", "zero dates", lax=True)
ZEROES = (ZERO, Value("'2024-05-00'", "2024-05-00", lax=True))
DOUBLES = ("0.1", "1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "-2.2250738585072014e-308", "-1.2345678901234567e-5", "0.30000000000000004", "123456789012345680", "0")  # fmt: skip
FLOATS = ("0.1", "3.4028234663852886e38", "-3.4028234663852886e38", "1.401298464324817e-45", "1.1754943508222875e-38", "-1.1754943508222875e-38", "16777217", "0.3333333")  # fmt: skip
JSONS = ('{"a": [1, 2.5, null, true], "b": "x\'y", "c": {"d": -9223372036854775808, "e": 1e-7}}', "[]", "null", '"\\\\"', '"é 😀"', "0.1", "18446744073709551615", "{}")  # fmt: skip
BLOB = bytes(range(256)) + b"\r\n\\N\\.'%s\0"
CODED = {
    "blob": [(b"mYm\0A" + BLOB, "a blob"), (b"dj0\0\x02" + BLOB, "a blob"), (BLOB, "bytes that are no blob")],
    "attach": [(b"a.txt\0" + BLOB, "a file"), (b"a.txt\0", "a file"), (BLOB[1:250], "bytes that are no attached file")],
}


def _mysql_text(name, ddl, **facts):
    return Type(name=name, ddl=ddl, shape="text", values=[Value(_hex(text), repr(text)) for text in TEXTS] + [Value(_hex("a\0b"), "NUL characters")], **facts)  # fmt: skip


def _mysql_bytes(name, ddl, mark="", most=10**6):
    values = [b"", BLOB, b"\0", b"\\x41", b"a" * min(most, 70_000)]
    return Type(name=name, ddl=ddl, shape="bytes", mark=mark, values=[Value(f"X'{value.hex()}'", "bytes") for value in values if len(value) <= most])  # fmt: skip


def _json(mark, values, **facts):
    return Type(
        name="`json`", ddl="json", shape="json", mark=mark, values=[Value(_hex(text), text) for text in values], **facts
    )


MYSQL_TYPES = (
    Type(name="`int8`", ddl="tinyint", shape="number", mark="int8", values=_signed(8)),
    Type(name="`int16`", ddl="smallint", shape="number", mark="int16", values=_signed(16)),
    Type(name="`int32`", ddl="int", shape="number", mark="int32", values=_signed(32)),
    Type(name="`int64`", ddl="bigint", shape="number", mark="int64", values=_signed(64)),
    Type(name="`float32`", ddl="float", shape="float", mark="float32", values=(*FLOATS, Value("'-0'", "-0"))),
    Type(name="`float64`", ddl="double", shape="float", mark="float64", values=(*DOUBLES, Value("'-0'", "-0"))),
    Type(name="`decimal(65,30)`", ddl="decimal(65,30)", shape="number", mark="decimal(65,30)", values=("9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1", "0")),
    Type(name="`bool`", ddl="tinyint", shape="truth", mark="bool", values=("0", "1", Value("-3", "other numbers than 0 and 1"), Value("2", "other numbers than 0 and 1"))),
    Type(name="`uuid`", ddl="binary(16)", shape="uuid", mark="uuid", values=[Value(f"X'{value}'") for value in ("0" * 32, "f" * 32, "00112233445566778899aabbccddeeff")]),
    Type(name="`date`", ddl="date", shape="date", mark="date", values=("'0001-01-01'", "'9999-12-31'", "'2024-02-29'", *ZEROES)),
    Type(name="`datetime`", ddl="datetime", shape="moment", mark="datetime", values=("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'", *ZEROES)),
    Type(name="`datetime(6)`", ddl="datetime(6)", shape="moment", mark="datetime(6)", values=("'2024-12-31 23:59:59.999999'", "'1000-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'")),
    _mysql_text("`varchar(20)`", "varchar(20) CHARACTER SET utf8mb4", mark="varchar(20)"),
    Type(name="`char(9)`", ddl="char(9) CHARACTER SET utf8mb4", shape="text", mark="char(9)", values=[Value(_hex(text), repr(text)) for text in ("", "ab", "ab  ", "123456789", " x", "😀")]),
    Type(name="`enum`", ddl="enum('it''s','b:c','back\\\\slash','a,b','5%','É') CHARACTER SET utf8mb4", shape="text", values=[Value("1", "it's"), Value("2", "b:c"), Value("3", "back\\slash"), Value("4", "a,b"), Value("5", "5%"), Value("6", "É"), Value("''", "what is none of the labels", lax=True)]),
    Type(name="`enum` with an empty label", ddl="enum('a','')", shape="text", values=[Value("1", "a"), Value("2", "the empty label"), Value("0", "what is none of the labels", lax=True)]),
    _json("json", JSONS, products=(MYSQL,)),
    _json("json", (*JSONS, "12345678901234567890123", Value('{"a": 1, "a": 2}', "two equal names").sql, '"\\u0000"'), products=(MARIADB,)),
    _mysql_bytes("`bytes`", "longblob", "bytes"),
    Type(name="`<blob>`", ddl="longblob", shape="bytes", mark="<blob>", values=[Value(f"X'{value.hex()}'", label) for value, label in CODED["blob"]]),
    Type(name="`<attach>`", ddl="longblob", shape="bytes", mark="<attach>", values=[Value(f"X'{value.hex()}'", label) for value, label in CODED["attach"]]),
    Type(name="`tinyint(1)`", ddl="tinyint(1)", shape="number", values=_signed(8)),
    Type(name="`tinyint unsigned`", ddl="tinyint unsigned", shape="number", values=_unsigned(8)),
    Type(name="`smallint unsigned`", ddl="smallint unsigned", shape="number", values=_unsigned(16)),
    Type(name="`mediumint`", ddl="mediumint", shape="number", values=_signed(24)),
    Type(name="`mediumint unsigned`", ddl="mediumint unsigned", shape="number", values=_unsigned(24)),
    Type(name="`int unsigned`", ddl="int unsigned", shape="number", values=_unsigned(32)),
    Type(name="`int(5) unsigned zerofill`", ddl="int(5) unsigned zerofill", shape="filled", values=_unsigned(32)),
    Type(name="`bigint unsigned`", ddl="bigint unsigned", shape="number", values=_unsigned(64)),
    Type(name="`bigint auto_increment`", ddl="bigint NOT NULL AUTO_INCREMENT UNIQUE", shape="number"),
    Type(name="`decimal(8,3) unsigned`", ddl="decimal(8,3) unsigned", shape="number", values=("0", "99999.999", "1.5")),
    Type(name="`decimal(8,2) zerofill`", ddl="decimal(8,2) zerofill", shape="filled", values=("0", "999999.99", "1.5")),
    Type(name="`float(7,3)`", ddl="float(7,3)", shape="float", values=("0.1", "9999.999", "-1.5")),
    Type(name="`double(10,2)`", ddl="double(10,2)", shape="float", values=("0.1", "99999999.99", "-1.5")),
    Type(name="`double unsigned`", ddl="double unsigned", shape="float", values=("0.1", "1.7976931348623157e308")),
    Type(name="`bit(1)`", ddl="bit(1)", shape="bits", values=("b'0'", "b'1'")),
    Type(name="`bit(64)`", ddl="bit(64)", shape="bits", values=(Value("0", "0"), Value("18446744073709551615"), Value("9223372036854775808"), Value("5"))),
    Type(name="`set`", ddl="set('a','b''c','d e','É') CHARACTER SET utf8mb4", shape="text", values=[Value("0", "none"), Value("1"), Value("15"), Value("10")]),
    Type(name="`year`", ddl="year", shape="number", values=("'0000'", "'1901'", "'2155'", "'2000'")),
    Type(name="`time`", ddl="time", shape="span", values=("'-838:59:59'", "'838:59:59'", "'00:00:00'", "'24:00:00'")),
    Type(name="`time(6)`", ddl="time(6)", shape="span", values=("'-838:59:58.999999'", "'838:59:58.999999'", "'-00:00:00.000001'", "'23:59:59.5'")),
    Type(name="`timestamp`", ddl="timestamp NULL", shape="instant", values=("'1970-01-01 12:00:00'", "'2038-01-19 03:14:07'", "'2024-10-27 02:30:00'", ZERO)),
    Type(name="`timestamp(6)`", ddl="timestamp(6) NULL", shape="instant", values=("'2024-03-31 02:30:00.000001'", "'2038-01-18 00:00:00.999999'")),
    Type(name="`timestamp … ON UPDATE`", ddl="timestamp NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP", shape="instant", values=("'2001-01-01 00:00:00'",)),
    Type(name="`binary(4)`", ddl="binary(4)", shape="bytes", values=("X'00000000'", "X'01'", "X'ffffffff'", "X'20202020'")),
    Type(name="`varbinary(300)`", ddl="varbinary(300)", shape="bytes", values=("X''", f"X'{BLOB.hex()}'", "X'0100'", "X'2020'")),
    _mysql_bytes("`tinyblob`", "tinyblob", most=255),
    _mysql_bytes("`blob`", "blob", most=65_535),
    _mysql_bytes("`mediumblob`", "mediumblob"),
    _mysql_text("`tinytext`", "tinytext CHARACTER SET utf8mb4"),
    _mysql_text("`text`", "text CHARACTER SET utf8mb4"),
    _mysql_text("`mediumtext`", "mediumtext CHARACTER SET utf8mb4"),
    _mysql_text("`longtext`", "longtext CHARACTER SET utf8mb4"),
    Type(name="`varchar` in latin1", ddl="varchar(256) CHARACTER SET latin1 COLLATE latin1_german1_ci", shape="text", values=[Value(_hex(bytes(range(1, 256)), "latin1"), "all bytes"), Value(_hex(b"a ", "latin1"))]),
    Type(name="`varchar` in utf8mb3", ddl="varchar(20) CHARACTER SET utf8mb3", shape="text", values=[Value(_hex(LETTERS))]),
    Type(name="`varchar` in ucs2", ddl="varchar(20) CHARACTER SET ucs2", shape="text", values=[Value(_hex(LETTERS))]),
    Type(name="`text` in cp1251", ddl="text CHARACTER SET cp1251", shape="text", values=[Value(_hex("ж"))]),
    Type(name="`varchar` in koi8r", ddl="varchar(20) CHARACTER SET koi8r", shape="text", values=[Value(_hex("ж"))]),
    Type(name="generated, stored", ddl="int GENERATED ALWAYS AS (id * 2) STORED", shape="number"),
    Type(name="generated, virtual", ddl="int GENERATED ALWAYS AS (id * 3) VIRTUAL", shape="number"),
    Type(name="invisible", ddl="int INVISIBLE", shape="number", values=("7",), products=(MYSQL, MARIADB)),
    Type(name="`geometry`", ddl="geometry", shape="bytes"),
    Type(name="`uuid` of MariaDB", ddl="uuid", shape="bytes", products=(MARIADB,)),
    Type(name="`inet6`", ddl="inet6", shape="bytes", products=(MARIADB,)),
)  # fmt: skip


def _pg_text(name, ddl, **facts):
    return Type(name=name, ddl=ddl, shape="text", values=[Value(f"convert_from('\\x{text.encode().hex()}', 'UTF8')", repr(text)) for text in TEXTS], **facts)  # fmt: skip


def _pg_bytes(name, mark=""):
    return Type(name=name, ddl="bytea", shape="bytes", mark=mark, values=[Value(f"'\\x{value.hex()}'", "bytes") for value in (b"", BLOB, b"\0", b"\\x41", b"a" * 70_000)])  # fmt: skip


def _pg_json(name, values):
    return Type(name=name, ddl=name.strip("`"), shape="json", mark="json", values=[Value(f"convert_from('\\x{text.encode().hex()}', 'UTF8')::json", label) for text, label in values])  # fmt: skip


BIG_NUMBER = ("12345678901234567890123", "numbers that a double cannot hold")
POSTGRESQL_TYPES = (
    Type(name="`int8`, `int16`", ddl="smallint", shape="number", mark="int16", values=_signed(16)),
    Type(name="`int32`", ddl="integer", shape="number", mark="int32", values=_signed(32)),
    Type(name="`int64`", ddl="bigint", shape="number", mark="int64", values=_signed(64)),
    Type(name="`float32`", ddl="real", shape="float", mark="float32", values=(*(f"'{value}'::real" for value in FLOATS), "'-0'::real", "'NaN'::real", "'Infinity'::real", "'-Infinity'::real")),
    Type(name="`float64`", ddl="double precision", shape="float", mark="float64", values=(*DOUBLES, "'-0'::float8", "'NaN'::float8", "'Infinity'::float8", "'-Infinity'::float8")),
    Type(name="`decimal(65,30)`", ddl="numeric(65,30)", shape="number", mark="decimal(65,30)", values=("9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1", "0", "'NaN'")),
    Type(name="`bool`", ddl="boolean", shape="truth", mark="bool", values=("true", "false")),
    Type(name="`uuid`", ddl="uuid", shape="uuid", mark="uuid", values=("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00112233-4455-6677-8899-aabbccddeeff'")),
    Type(name="`date`", ddl="date", shape="date", mark="date", values=("'0001-01-01'", "'9999-12-31'", "'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", Value("'5874897-12-31'", "years after 9999"))),
    Type(name="`datetime`", ddl="timestamp(0)", shape="moment", mark="datetime(0)", values=("'2024-12-31 23:59:59'",)),
    Type(name="`datetime(6)`", ddl="timestamp", shape="moment", mark="datetime(6)", values=("'2024-12-31 23:59:59.999999'", "'0001-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'", "'infinity'", Value("'0044-03-15 10:00:00 BC'", "0044-03-15 BC"), Value("'294276-12-31 23:59:59.999999'", "years after 9999"))),
    _pg_text("`varchar(20)`", "varchar(20)", mark="varchar(20)"),
    Type(name="`char(9)`", ddl="char(9)", shape="text", mark="char(9)", values=("''", "'ab'", "'ab  '", "'123456789'", "' x'", "'😀'")),
    Type(name="`char(300)`", ddl="char(300)", shape="text", values=("''", "'ab'", Value("repeat('x', 300)", "x"))),
    Type(name="`enum`", ddl="{letters}", shape="text", values=(Value("'it''s'"), Value("'b:c'"), Value("'back\\slash'"), Value("'5%'"), Value("'É'"), Value("''", "the empty label"))),
    _pg_json("`jsonb`", [(text, text) for text in JSONS] + [BIG_NUMBER]),
    _pg_json("`json`", [(text, text) for text in JSONS] + [BIG_NUMBER, ('{"a": 1, "a": 2}', "two equal names"), ('"\\u0000"', "NUL characters")]),
    _pg_bytes("`bytes`", "bytes"),
    Type(name="`<blob>`", ddl="bytea", shape="bytes", mark="<blob>", values=[Value(f"'\\x{value.hex()}'", label) for value, label in CODED["blob"]]),
    Type(name="`<attach>`", ddl="bytea", shape="bytes", mark="<attach>", values=[Value(f"'\\x{value.hex()}'", label) for value, label in CODED["attach"]]),
    _pg_text("`varchar`", "varchar"),
    _pg_text("`text`", "text"),
    _pg_text('`text COLLATE "C"`', 'text COLLATE "C"'),
    Type(name="`serial`", ddl="serial", shape="number"),
    Type(name="`GENERATED ALWAYS AS IDENTITY`", ddl="integer GENERATED ALWAYS AS IDENTITY", shape="number"),
    Type(name="`numeric`", ddl="numeric", shape="number", values=("1" * 200, "1e-100", "1.10", "'NaN'")),
    Type(name="`numeric(3,-2)`", ddl="numeric(3,-2)", shape="number", values=("12300", "-99900")),
    Type(name="`bit(3)`", ddl="bit(3)", shape="bits", values=("B'000'", "B'101'", "B'011'")),
    Type(name="`bit(70)`", ddl="bit(70)", shape="bits", values=(f"B'{'10' * 35}'",)),
    Type(name="`time(3)`", ddl="time(3)", shape="span", values=("'00:00'", "'23:59:59.999'", "'24:00:00'")),
    Type(name="`time`", ddl="time", shape="span", values=("'00:00:00.000001'", "'23:59:59.999999'", "'24:00:00'")),
    Type(name="`interval`", ddl="interval", shape="span", values=("'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'", "'00:00'", Value("'1 day'", "days, months, years"), Value("'1 mon -3 days 04:05:06.789'", "days, months, years"), Value("'1000:00:00'", "more than 838:59:59"))),
    Type(name="`timestamptz`", ddl="timestamptz", shape="instant", values=("'2024-03-31 02:30:00.000001+02'", "'1970-01-01 00:00:01+00'", "'2038-01-19 03:14:07+00'", Value("'1969-12-31 23:59:59+00'", "before 1970-01-01 00:00:01"), Value("'2038-01-19 03:14:08+00'", "after 2038-01-19 03:14:07"), Value("'0044-03-15 10:00:00+00 BC'", "before 1970-01-01 00:00:01"), "'infinity'")),
    Type(name="generated, stored", ddl="integer GENERATED ALWAYS AS (id * 2) STORED", shape="number"),
    Type(name="generated, virtual", ddl="integer GENERATED ALWAYS AS (id * 3) VIRTUAL", shape="number"),
    Type(name="`timetz`", ddl="timetz", shape="bytes"),
    Type(name="arrays", ddl="integer[]", shape="bytes"),
    Type(name="`inet`", ddl="inet", shape="bytes"),
    Type(name="`bit varying`", ddl="bit varying(3)", shape="bytes"),
)  # fmt: skip


def types_of(product):
    """Return the types of a product's tables."""
    return [found for found in (POSTGRESQL_TYPES if product is PG else MYSQL_TYPES) if product in found.products]


MYSQL_KEYS = {
    "letters": ("char(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ("'ab'", "''", "' x'", "'é'")),
    "span": ("time(6)", ("'00:00:00.000001'", "'-838:59:59'", "'838:59:58.999999'", "'-00:00:00.000001'", "'24:00:00'")),
    "instant": ("timestamp(6)", ("'2024-10-27 02:30:00.000001'", "'1970-01-02 00:00:01'", "'2038-01-18 03:14:07.999999'")),
    "year": ("year", ("'0000'", "'1901'", "'2155'", "'2000'", "'2069'")),
    "code": ("binary(4)", ("X'00000000'", "X'20202020'", "X'ff0000ff'", "X'5c275c27'")),
    "bytes": ("varbinary(20)", ("X''", "X'00'", "X'0000'", "X'20'", "X'5c2725'")),
    "padded": ("int(6) unsigned zerofill", ("0", "42", "4294967295")),
    "price": ("decimal(8,2) zerofill", ("0", "1.5", "999999.99")),
}
POSTGRESQL_KEYS = {
    "letters": ("char(9)", ("'ab'", "''", "' x'", "'é'", "'AB'")),
    "daytime": ("time(6)", ("'00:00:00.000001'", "'23:59:59.999999'", "'24:00:00'", "'12:00'")),
    "span": ("interval", ("'00:00:00.000001'", "'-838:59:59'", "'838:59:58.999999'", "'24:00:00'")),
    "instant": (
        "timestamptz",
        ("'2024-10-27 02:30:00.000001+02'", "'1970-01-01 00:00:01+00'", "'2038-01-19 03:14:07.999999+00'"),
    ),
    "bytes": ("bytea", ("'\\x'", "'\\x00'", "'\\x0000'", "'\\x20'", "'\\x5c2725'")),
}
"""Columns of one composite key: their types, and values."""
