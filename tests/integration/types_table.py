"""What becomes of every column type on every pair: pulled for real, compared in SQL on both servers, written as docs/types.md.

`uv run python tests/integration/types_table.py` writes the table anew; `test_types.py` proves that it is what the servers show.
"""

from __future__ import annotations

import itertools
import json
import re
import struct
import sys
from decimal import Decimal
from pathlib import Path

import servers
from attrs import define, field
from labs import make_lab_l, make_lab_s
from types_data import MARIADB, MYSQL, PG, types_of

from link.adapters.datajoint import declaration
from link.adapters.datajoint.catalog import read_entity
from link.domain.errors import ColumnNotSupported
from link.infrastructure import connections

DOCS = Path(__file__).parents[2] / "docs" / "types.md"
SHOWN = {PG: "PostgreSQL", MARIADB: "MariaDB", MYSQL: "MySQL"}
START, END = "<!-- made by tests/integration/types_table.py -->", "<!-- end -->"


# ---- comparing


def _plain(text):
    return text


def _number(text):
    """Return a number without the zeros that say nothing."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return sign + (digits.lstrip("0") or "0")


def _moment(text):
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float(value):
    return struct.pack(">d", float(value)).hex()


def _bits(text):
    return text.lstrip("0")


def _json(text):
    return repr(json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=sorted))


SHAPES = {
    "text": ("encode(convert_to({0}::text, 'UTF8'), 'hex')", "LOWER(HEX(CONVERT({0} USING utf8mb4)))", _plain),
    "bytes": ("encode({0}, 'hex')", "LOWER(HEX({0}))", _plain),
    "number": ("{0}::text", "CAST({0} AS CHAR)", _number),
    "filled": ("{0}::text", "CAST({0} + 0 AS CHAR)", _number),
    "truth": ("({0}::int)::text", "CAST({0} AS CHAR)", _plain),
    "float": ("{0}::float8", "{0} * 1e0", _float),
    "uuid": ("replace({0}::text, '-', '')", "LOWER(HEX({0}))", _plain),
    "date": ("{0}::text", "CAST({0} AS CHAR)", _plain),
    "moment": ("{0}::text", "CAST({0} AS CHAR)", _moment),
    "span": ("{0}::text", "CAST({0} AS CHAR)", _moment),
    "instant": ("extract(epoch from {0})::text", "CAST(UNIX_TIMESTAMP({0}) AS CHAR)", _number),
    "bits": ("{0}::text", "BIN({0} + 0)", _bits),
    "json": ("{0}::text", "CONVERT({0} USING utf8mb4)", _json),
}
"""For each shape: the value as PostgreSQL and as the MySQL family show it, and what makes equal values look the same."""
RAW = {"text": "HEX({0})"}
"""What shows more than that where both servers are MySQL's or both MariaDB's: the bytes in the column's own charset."""


def contents(lab, table, columns, *, raw):
    """Return the rows of a table by their ids, each column as its server shows it."""
    place = 0 if lab.server.backend == "postgresql" else 1
    shown = []
    for name, kind in columns.items():
        form = RAW[kind.shape] if raw and place and kind.shape in RAW else SHAPES[kind.shape][place]
        shown.append(form.format(lab.server.quote(name)))
    connection = lab.server.raw(lab.server.admin)
    with connection.cursor() as cursor:
        cursor.execute("SET intervalstyle TO postgres" if not place else "SET time_zone = '+05:30'")
        cursor.execute(f"SELECT id, {', '.join(shown)} FROM {table}")
        rows = {row[0]: dict(zip(columns, (_text(value) for value in row[1:]), strict=True)) for row in cursor.fetchall()}
    connection.close()
    return rows


def _text(value):
    return value.decode() if isinstance(value, bytes) else repr(value) if isinstance(value, float) else value


# ---- the source's table


@define
class Case:
    """A row of the source with one value that is looked at; the other columns are NULL."""

    column: str
    kind: object
    value: object
    arrived: bool = False


@define
class Table:
    """The source's table with a column for each type, and its rows."""

    lab: object
    columns: dict = field(factory=dict)
    cases: dict = field(factory=dict)

    @property
    def place(self):
        return self.lab.table("every_type")

    def create(self):
        self.columns = {f"c{number}": kind for number, kind in enumerate(types_of(self.lab.server.product))}
        parts = [f"{self.lab.server.quote(name)} {self._ddl(kind)}" for name, kind in self.columns.items()]
        statements = [f"CREATE TABLE {self.place} (id int PRIMARY KEY, {', '.join(parts)})"]
        if self.lab.server.backend == "postgresql":
            letters = "'it''s', 'b:c', 'back\\slash', '5%', 'É', ''"
            statements.insert(0, f"CREATE TYPE {self.lab.table('letters')} AS ENUM ({letters})")
            statements += [f"COMMENT ON COLUMN {self.place}.{name} IS ':{kind.mark}:'" for name, kind in self.columns.items() if kind.mark]  # fmt: skip
        for statement in statements:
            self.lab.server.query(self.lab.owner, statement)

    def _ddl(self, kind):
        if self.lab.server.backend == "postgresql":
            return kind.ddl.replace("{letters}", self.lab.table("letters"))
        return f"{kind.ddl} COMMENT ':{kind.mark}:'" if kind.mark else kind.ddl

    def fill(self):
        """Insert a row for each value, in a session whose time zone is not UTC."""
        connection = self.lab.server.raw(self.lab.owner)
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+02:00'" if self.lab.server.backend == "mysql" else "SET time zone '+02:00'")
            cursor.execute("BEGIN")
            lax = None
            for number, (name, kind, value) in enumerate(self._values(), start=1):
                if self.lab.server.backend == "mysql" and lax is not value.lax:
                    lax = value.lax
                    cursor.execute(f"SET sql_mode = '{'' if lax else 'STRICT_ALL_TABLES'}'")
                cursor.execute(f"INSERT INTO {self.place} (id, {name}) VALUES ({number}, {value.sql})")
                self.cases[number] = Case(name, kind, value)
            cursor.execute("COMMIT")
        connection.close()

    def _values(self):
        return [(name, kind, value) for name, kind in self.columns.items() for value in kind.values]

    def drop(self, name):
        self.lab.server.query(self.lab.owner, f"ALTER TABLE {self.place} DROP COLUMN {name}")
        return self.columns.pop(name)


# ---- what happens on a pair


def observe(pair, connect, link):
    """Pull every type from one product to another; return what the docs say of each, and raise where a value is not itself."""
    lab_s, lab_l = make_lab_s(servers.get(pair[0], "source")), make_lab_l(servers.get(pair[1], "local"))
    table = Table(lab_s)
    table.create()
    cells = _refused_columns(table, lab_s, lab_l, connect)
    table.fill()
    result = link(lab_s, lab_l, type("EveryType", (), {}))().pull()
    refused = _refused_values(table, result)
    assert result.pulled + len(result.not_representable) == len(table.cases)
    assert lab_s.count("every_type_outbound", lab_s.outbound_schema) == lab_l.count("every_type") == result.pulled
    _compare(pair, table, lab_l, refused)
    types = _types(lab_l)
    for name, kind in table.columns.items():
        cells[kind.name] = _cell(kind, types[name], refused.get(name, []))
    return cells


def _refused_columns(table, lab_s, lab_l, connect):
    """Take columns that are refused by their type out of the table, one by one, and say why."""
    source = connections.session(connect(lab_s, lab_s.link), lab_s.outbound_schema)
    local = connections.session(connect(lab_l, lab_l.user), lab_l.local_schema)
    cells = {}
    while True:
        try:
            declaration.copy_statements(read_entity(source, lab_s.source_schema, "EveryType"), local)
        except ColumnNotSupported as error:
            refused = error
        else:
            return cells
        assert refused.table == f"{lab_s.source_schema}.every_type"
        cells[table.drop(refused.column).name] = f"**column refused**: {refused.reason}"


def _refused_values(table, result):
    """Return the labels of the refused values by column; each is named with its key, its column and itself."""
    refused = {}
    for fault in result.not_representable:
        case = table.cases[int(fault.key["id"])]
        assert (fault.table, fault.column, bool(fault.value)) == ("every_type", case.column, True), fault
        refused.setdefault(case.column, {})[case.value.label] = int(fault.key["id"])
    return refused


def _compare(pair, table, lab_l, refused):
    """Compare every value that was not refused."""
    same = pair[0] is pair[1]
    source = contents(table.lab, table.place, table.columns, raw=same)
    local = contents(lab_l, lab_l.table("every_type"), table.columns, raw=same)
    left_out = {number for numbers in refused.values() for number in numbers.values()}
    for number, row in source.items():
        case = table.cases[number]
        if number not in local:
            labels = refused.get(case.column, {})
            assert number in left_out or case.value.label in labels, (case.kind.name, case.value.label)
            continue
        for name, kind in table.columns.items():
            was, now = row[name], local[number][name]
            if was is None or now is None or was == now:
                assert was == now, (kind.name, case.value.label, was, now)
            else:
                bring = SHAPES[kind.shape][2]
                assert not same, (kind.name, case.value.label, was, now)
                assert bring(was) == bring(now), (kind.name, case.value.label, was, now)


def _types(lab_l):
    """Return the types of the local table's columns in the local server's words, without display widths."""
    server = lab_l.server
    if server.backend == "postgresql":
        found = server.admin_query(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            (lab_l.table("every_type"),),
        )
        return {name: re.sub(r'.*\.enum_\w+"?', "enum", kind).replace(" without time zone", "") for name, kind in found}
    found = server.admin_query(
        "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.columns WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'every_type'",
        (lab_l.local_schema,),
    )
    return {name: re.sub(r"(int|year)\((?!1\))\d+\)", r"\1", re.sub(r"^(enum|set)\(.*", r"\1", kind)) for name, kind in found}


def _cell(kind, native, refused):
    said = [f"`{native}`"]
    if refused:
        said.append(f"refused: {', '.join(dict.fromkeys(refused))}")
    return "; ".join(said).replace("|", "\\|")


# ---- docs/types.md


def table_of(product, cells):
    """Return a product's table; `cells` has those of each local product."""
    head = ["type at the source", *(f"copy on {SHOWN[local]}" for local in cells)]
    lines = [f"### From {SHOWN[product]}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for kind in types_of(product):
        row = [kind.name, *(found[kind.name] for found in cells.values())]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join([*lines, ""])


def documented(pair):
    """Return the cells of a pair as they stand in docs/types.md."""
    section = DOCS.read_text().split(f"### From {SHOWN[pair[0]]}\n")[1].split("\n### ")[0].split(END)[0]
    rows = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in section.splitlines() if line.startswith("| ")]
    place = rows[0].index(f"copy on {SHOWN[pair[1]]}")
    return {row[0]: row[place] for row in rows[1:]}


def write(cells):
    """Put the tables where they belong in docs/types.md."""
    before, rest = DOCS.read_text().split(START)
    tables = "\n".join(table_of(product, {local: cells[product, local] for local in SHOWN}) for product in SHOWN)
    DOCS.write_text(f"{before}{START}\n\n{tables}\n{END}{rest.split(END)[1]}")


def main():
    """Observe all nine pairs and write the docs."""
    import pytest  # noqa: PLC0415 - it brings the fixtures that connect and link

    class Observer:
        cells = {}  # noqa: RUF012 - filled once

        @pytest.hookimpl
        def pytest_configure(self, config):
            config.types_observed = self.cells

    code = pytest.main(["-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_types.py")), "-k", "every_type"], plugins=[Observer()])  # fmt: skip
    if set(Observer.cells) != set(itertools.product(SHOWN, repeat=2)):
        sys.exit(f"not every pair could be observed (pytest: {code})")
    write(Observer.cells)
    print(f"{DOCS} is written")


if __name__ == "__main__":
    main()
