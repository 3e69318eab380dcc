"""What a server's catalog says of tables, before it is known whether they can be copied."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from link.adapters.datajoint.model import Default, Kind
    from link.adapters.datajoint.session import Session

_MARK = re.compile(r":(enum\s*\((?:'(?:[^']|'')*'|\"[^\"]*\"|[^'\")])*\)|[^:]+):(.*)", re.DOTALL | re.IGNORECASE)


@frozen(kw_only=True)
class FoundTable:
    """A table or view by its name."""

    name: str
    comment: str = ""
    refusal: str = ""
    """Why nothing of this kind can be linked (a view, an engine without foreign keys); empty for a table."""
    readable: bool = True


@frozen(kw_only=True)
class FoundColumn:
    """A column with its type taken apart; `base` is the type's own short name, `json` for every column of JSON text."""

    name: str
    native: str
    base: str
    size: int | None = None
    scale: int | None = None
    unsigned: bool = False
    labels: tuple[str, ...] = ()
    nullable: bool = False
    default: Default | None = None
    """The text as it stands in the catalog's constant, not yet in wire form."""
    comment: str = ""
    """With DataJoint's mark."""
    charset: str = ""
    collation: str = ""


@frozen(kw_only=True)
class FoundIndex:
    """An index over plain columns; other kinds of index are not reported."""

    columns: tuple[str, ...]
    unique: bool
    primary: bool


@frozen(kw_only=True)
class ForeignKey:
    """A foreign key; `columns` and `parent_columns` correspond by position."""

    name: str
    table: str
    columns: tuple[str, ...]
    parent_schema: str
    parent_table: str
    parent_columns: tuple[str, ...]


class Catalog(Protocol):
    """One backend's catalog; every method is one statement, and an unknown schema or table gives nothing."""

    kinds: Mapping[str, Kind]
    """Which base types are known to arrive exactly."""

    def tables(self, session: Session, schema: str) -> dict[str, FoundTable]:
        """Return every table and view of a schema that the user can see, by name."""
        ...

    def columns(self, session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundColumn]]:
        """Return all columns of the tables in their order, hidden ones too."""
        ...

    def indexes(self, session: Session, schema: str, tables: Sequence[str]) -> dict[str, list[FoundIndex]]:
        """Return the indexes of the tables, primary keys included."""
        ...

    def foreign_keys(self, session: Session, schema: str) -> list[ForeignKey]:
        """Return the foreign keys of every table of a schema, each table's in the order in which they were made."""
        ...


@frozen
class Mark:
    """A column's comment taken apart as DataJoint does it: `:type:comment`."""

    type: str = field()
    comment: str = field()

    @classmethod
    def split(cls, comment: str) -> Mark:
        """Take a comment apart; a colon inside an enum's label does not end the mark."""
        match = _MARK.match(comment)
        return cls(match[1], match[2]) if match else cls("", comment)


def marked(marker: str, comment: str) -> str:
    """Return the comment as it stands in the database."""
    return f":{marker}:{comment}" if marker else comment


def places(values: Sequence[object]) -> str:
    """Return as many placeholders as there are values."""
    return ", ".join(["%s"] * len(values))
