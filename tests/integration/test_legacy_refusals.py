"""What an older DataJoint wrote and DataJoint 2 would read as something else is refused by name, and the advice works."""

from __future__ import annotations

import datajoint as dj
import legacy
import pytest
import servers
from datajoint.codecs import unregister_codec
from labs import make_lab_s
from servers import Product

from link import errors
from link.adapters.datajoint.catalog import snake_case

PAIRS = [(Product.MARIADB, Product.MYSQL), (Product.MYSQL, Product.POSTGRESQL)]
pytestmark = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)

DECLARE = """
import numpy as np
schema = dj.Schema(os.environ["SOURCE"])
folder = __import__("tempfile").mkdtemp()
dj.config["stores"] = dict(s=dict(protocol="file", location=folder, stage=folder))

class Packed(dj.AttributeAdapter):
    attribute_type = "longblob"
    def put(self, value): return {"value": value}
    def get(self, stored): return stored["value"]

class Short(Packed):
    attribute_type = "varchar(20)"
    def put(self, value): return value
    def get(self, stored): return stored

object, blob, graph, tensor, attach = Packed(), Packed(), Packed(), Packed(), Short()
"""
TABLE = '''
@schema
class {name}(dj.Manual):
    definition = """
    id : int
    ---
    value : {type}
    """
'''
TYPES = {
    "InStore": "blob@s",
    "FileInStore": "attach@s",
    "PathInStore": "filepath@s",
    "AnObject": "<object>",
    "ABlob": "<blob>",
    "AnAttachment": "<attach>",
    "Graph": "<graph>",
    "Old": "varchar(51)",
    "Pieces": "longblob",
    "Days": "datetime",
}
WRITE = (
    "".join(TABLE.format(name=name, type=type_) for name, type_ in TYPES.items())
    + """
for table in (AnObject, ABlob, Graph, Pieces):
    table.insert([(number, np.arange(number)) for number in range(3)])
AnAttachment.insert1((0, "x"))
Days.insert([(number, "2020-01-01") for number in range(3)])
"""
)


@pytest.fixture(scope="module")
def sources():
    """Return a function that has 0.14 make the tables on a product's server, once."""
    made = {}

    def make(product):
        if product not in made:
            lab = make_lab_s(servers.get(product, "source"))
            legacy.run(DECLARE + WRITE, lab, lab.owner)
            lab.server.admin_query(
                f"ALTER TABLE {lab.table('old')} MODIFY value varchar(51) COMMENT ':external-raw:as of 0.11'"
            )
            made[product] = lab
        return made[product]

    return make


@pytest.fixture
def lab_s(pair, sources):
    return sources(pair[0])


@pytest.fixture
def linked(lab_s, lab_l, link):
    """Return a function that links a table by its name."""
    return lambda name, **options: link(lab_s, lab_l, type(name, (), {}), **options)


@pytest.mark.parametrize(
    ("name", "type_", "reason"),
    [
        ("InStore", "blob@s", "object store"),
        ("FileInStore", "attach@s", "object store"),
        ("PathInStore", "filepath@s", "object store"),
        ("AnObject", "<object>", "rename the adapter"),
        ("ABlob", "<blob>", "rename the adapter"),
        ("AnAttachment", "<attach>", "rename the adapter"),
        ("Graph", "<graph>", "Define a dj.Codec with name = 'graph'"),
        ("Old", "external-raw", "longblob of another table"),
    ],
)
def test_it_is_refused_by_name(linked, lab_s, lab_l, name, type_, reason):
    """The column, its type and what to do are named, nothing is made on either server, and migrate is not the advice."""
    with pytest.raises(errors.ColumnNotSupported) as caught:
        linked(name).pull()
    assert (caught.value.column, caught.value.type) == ("value", type_)
    assert reason in str(caught.value)
    assert "migrate" not in str(caught.value)
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    assert lab_l.server.admin_query(tables, (lab_l.local_schema,)) == []
    made = {row[0] for row in lab_s.server.admin_query(tables, (lab_s.outbound_schema,))}
    assert f"{snake_case(name)}_outbound" not in made


def test_a_renamed_adapter_links(linked, lab_s):
    """A clashing adapter renamed in the code and in the comment works at the source, and links with a codec of its name."""
    change = f"ALTER TABLE {lab_s.table('an_object')} MODIFY value longblob NOT NULL COMMENT ':<{{}}>:'"
    lab_s.server.admin_query(change.format("tensor"))
    try:
        script = DECLARE + TABLE.format(name="AnObject", type="<tensor>") + "print(AnObject.fetch('value')[2].tolist())"
        assert legacy.run(script, lab_s, lab_s.owner).strip() == "[0, 1]"

        class Tensor(dj.Codec):
            name = "tensor"

            def get_dtype(self, is_store):
                return "<blob>"

            def encode(self, value, *, key=None, context=None, store_name=None):
                return {"value": value}

            def decode(self, stored, *, key=None, context=None):
                return stored["value"]

        table = linked("AnObject")
        assert table.pull().pulled == 3
        assert (table() & "id=2").fetch1("value").tolist() == [0, 1]
    finally:
        unregister_codec("tensor")
        lab_s.server.admin_query(change.format("object"))


def test_a_codec_that_reads_another_type_is_refused(linked):
    """A codec of the adapter's name that expects text where bytes stand does not link."""

    class Graph(dj.Codec):
        name = "graph"

        def get_dtype(self, is_store):
            return "varchar(20)"

        def encode(self, value, *, key=None, context=None, store_name=None):
            return value

        def decode(self, stored, *, key=None, context=None):
            return stored

    try:
        with pytest.raises(errors.ColumnNotSupported, match=r"reads varchar\(20\).*get_dtype"):
            linked("Graph").pull()
    finally:
        unregister_codec("graph")


def test_bytes_that_are_no_blob_are_refused_with_their_key(linked, lab_s, lab_l):
    """They would read as None; the other rows are pulled, and a local column marked as bytes takes them as they are."""
    pieces = linked("Pieces")
    for number, value in enumerate((b"\x89PNG", b"", b"ZL123\0" + bytes(8) + b"no zlib", b"mYm"), 10):
        lab_s.server.admin_query(f"INSERT INTO {lab_s.table('pieces')} VALUES (%s, %s)", (number, value))
    done = pieces.pull()
    assert done.pulled == 3
    assert [(fault.column, fault.key) for fault in done.not_representable] == [
        ("value", {"id": str(n)}) for n in range(10, 14)
    ]
    assert all("read as None" in str(fault) for fault in done.not_representable)
    assert [len(row["value"]) for row in pieces.to_dicts(order_by="id")] == [0, 1, 2]
    if lab_l.server.backend == "postgresql":
        lab_l.server.admin_query(f"COMMENT ON COLUMN {lab_l.table('pieces')}.value IS ':bytes:'")
    else:
        lab_l.server.admin_query(f"ALTER TABLE {lab_l.table('pieces')} MODIFY value longblob NOT NULL COMMENT ':bytes:'")
    assert pieces.pull().pulled == 4
    count = f"SELECT count(*) FROM {lab_l.table('pieces')} WHERE value = %s"
    assert lab_l.server.admin_query(count, (b"\x89PNG",))[0][0] == 1


def test_zero_dates_are_refused_one_by_one(linked, lab_s):
    """A date that is none is named with its column, and the other rows are pulled."""
    connection = lab_s.server.raw(lab_s.server.admin)
    with connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"INSERT INTO {lab_s.table('days')} VALUES (10, '0000-00-00 00:00:00')")
        cursor.execute(f"INSERT INTO {lab_s.table('days')} VALUES (11, '2020-00-00 00:00:00')")
    connection.close()
    done = linked("Days").pull()
    assert done.pulled == 3
    faults = [(fault.column, fault.key, fault.value) for fault in done.not_representable]
    assert faults == [("value", {"id": str(n)}, f"'{day} 00:00:00'") for n, day in ((10, "0000-00-00"), (11, "2020-00-00"))]
