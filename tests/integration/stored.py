"""Tables of lab S that keep values in object stores, filled as DataJoint fills them, on every server."""

from __future__ import annotations

import json

import datajoint as dj
from attrs import define
from datajoint.codecs import _accepts_kwarg, resolve_dtype

DEFINITION = """
shot : int32
---
image : <blob@raw>
note=null : <attach@raw>
"""
PART = """
-> master
cell : int16
---
trace : <hash@raw>
"""


@define(eq=False)
class StoredLab:
    """Lab S with stores, and tables whose values are in them; DataJoint itself cannot insert such rows on MariaDB."""

    lab: object
    connection: object

    @property
    def config(self):
        return self.connection._config

    def declare(self, definition=DEFINITION, part=PART):
        """Declare Shot with its part Cell and return the class."""
        cell = type("Cell", (dj.Part,), {"definition": part})
        shot = type("Shot", (dj.Manual,), {"definition": definition, **({"Cell": cell} if part else {})})
        dj.Schema(self.lab.source_schema, connection=self.connection)(shot)
        return shot

    def insert(self, table, key, **values):
        """Insert a row; `table` is a class. Returns the metadata of its objects by column."""
        facts = {name: self._encoded(table, name, value, key) for name, value in values.items()}
        row = {**key, **{name: json.dumps(value) if isinstance(value, dict) else value for name, value in facts.items()}}
        server = self.lab.server
        names = ", ".join(server.quote(name) for name in row)
        with server.raw(self.lab.owner) as connection, connection.cursor() as cursor:
            place = self.lab.table(table.table_name)
            cursor.execute(f"INSERT INTO {place} ({names}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))
            connection.commit()
        return facts

    def _encoded(self, table, name, value, key):
        attribute = table().heading.attributes[name]
        if attribute.codec is None or value is None:
            return value
        store = attribute.store or self.config.stores["default"]
        _, chain, _ = resolve_dtype(f"<{attribute.codec.name}@{store}>")
        place = {"schema": self.lab.source_schema, "table": table.table_name, "field": name}
        for codec in chain:
            options = {"key": {**key, **{f"_{part}": text for part, text in place.items()}, "_config": self.config}}
            if _accepts_kwarg(type(codec).encode, "context"):
                options["context"] = {**place, "config": self.config}
            if _accepts_kwarg(type(codec).encode, "store_name"):
                options["store_name"] = store
            value = codec.encode(value, **options)
        return value


def folder_store(folder, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    return {"protocol": "file", "location": str(folder), **settings}


def names_in(lab, table, columns):
    """Return the JSON of some columns of all rows, as the server has it."""
    quoted = ", ".join(lab.server.quote(column) for column in columns)
    rows = lab.server.admin_query(f"SELECT {quoted} FROM {lab.table(table)}")
    return [[json.loads(value) if isinstance(value, str) else value for value in row] for row in rows]


def collect(schema, connection, store, *, dry_run=True):
    """Run DataJoint's garbage collection over a schema."""
    collector = dj.gc.GarbageCollector(dj.Schema(schema, connection=connection, create_schema=False), store=store)
    return collector.collect(dry_run=dry_run)
