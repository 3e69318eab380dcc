"""Tables as data: what the adapters know of a source table, independent of either server's dialect."""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen


class Kind(Enum):
    """How a column's values travel ("on the wire"), and so which column can hold them on the other side.

    A wire value is None for NULL, `bytes` for BYTES, and otherwise text in exactly the form given here.
    """

    INTEGER = "integer"  # decimal digits, a leading minus
    FLOAT64 = "float64"  # shortest text that reads back as the same double
    FLOAT32 = "float32"  # the same, of the double that the value equals: servers round a float32's own text
    DECIMAL = "decimal"  # plain decimal notation with the column's scale
    BOOL = "bool"  # 0 or 1
    STRING = "string"  # the characters
    ENUM = "enum"  # the label
    DATE = "date"  # YYYY-MM-DD
    DATETIME = "datetime"  # YYYY-MM-DD HH:MM:SS with up to six digits after a point, no trailing zeros required
    TIME = "time"  # [-]HH:MM:SS with up to six digits after a point; longer forms of PostgreSQL's interval
    INSTANT = "instant"  # as DATETIME, at UTC
    YEAR = "year"  # decimal digits: 0, or 1901 to 2155
    BITS = "bits"  # binary digits, as many as the column has bits
    SET = "set"  # the labels with commas between them
    UUID = "uuid"  # 32 lower-case hexadecimal digits
    JSON = "json"  # JSON text
    BYTES = "bytes"  # the bytes themselves
    BINARY = "binary"  # bytes in a key: lower-case hexadecimal digits


class Addressing(Enum):
    """How a column that keeps its values in an object store names them; the column itself holds JSON."""

    HASH = "hash"  # by their content, once in a schema: <hash@>, <blob@>, <attach@>
    SCHEMA = "schema"  # by schema, table and key, a file or a folder of their own: <object@>, <npy@>
    PATH = "path"  # by a path of the user's choice: <filepath@>


@frozen(kw_only=True)
class Default:
    """A column's default: a constant in wire form, or the current time."""

    value: str | None = None
    now: bool = False
    """CURRENT_TIMESTAMP; `value` is None then."""


@frozen(kw_only=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    native: str
    """The complete column type as its own server spells it, e.g. `varchar(32)`, `int unsigned`, `"lab"."enum_ab12"`."""
    marker: str = ""
    """DataJoint's mark in the comment without the colons, e.g. `int32`, `<blob>`; empty for an unmarked native type."""
    comment: str = ""
    """The comment without the mark."""
    nullable: bool = False
    default: Default | None = None
    in_key: bool = False
    size: int | None = None
    """Characters of a string, digits of a decimal, fractional digits of a time, bits of an integer, bytes of a key."""
    scale: int | None = None
    unsigned: bool = False
    labels: tuple[str, ...] = ()
    charset: str = ""
    collation: str = ""
    lineage: str = ""
    """Where DataJoint says the attribute comes from, `schema.table.attribute`; empty where it says nothing."""
    addressing: Addressing | None = None
    """How the objects are named whose metadata this column holds; None for a column that holds its values itself."""
    external: str = ""
    """The schema whose table `~external_<store>` says more, where an older DataJoint's column holds but a hash."""

    @property
    def spelled(self) -> str:
        """The mark as it stands in the comment."""
        return self.marker.strip("<>") if self.external else self.marker

    @property
    def store(self) -> str:
        """The object store in the mark; empty for the default store, and for a column that holds its values itself."""
        return self.marker.strip("<>").partition("@")[2] if self.addressing else ""


@frozen(kw_only=True)
class Index:
    """A secondary index."""

    columns: tuple[str, ...]
    unique: bool = False


@frozen(kw_only=True)
class TableModel:
    """One table with everything that its copy keeps."""

    schema: str
    name: str
    comment: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    key_order: tuple[str, ...] = ()
    """The names of the primary key in its own order, where that differs from the order of the columns."""

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns whose values are in an object store."""
        return tuple(column for column in self.columns if column.addressing)

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key, in its order."""
        found = {column.name: column for column in self.columns if column.in_key}
        return tuple(found[name] for name in self.key_order or found)


@frozen(kw_only=True)
class EntityModel:
    """A master table with its parts."""

    backend: str
    """`mysql` or `postgresql`."""
    master: TableModel
    parts: tuple[TableModel, ...] = field(default=())

    @property
    def tables(self) -> tuple[TableModel, ...]:
        """The master, then its parts."""
        return (self.master, *self.parts)

    @property
    def has_objects(self) -> bool:
        """Whether any column keeps its values in an object store."""
        return any(table.stored for table in self.tables)
