"""DataJoint's marks: which type a column of the copy is declared as in DataJoint's own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from link.adapters.datajoint.model import Column

WIDENED = {8: 16, 16: 32, 24: 32, 32: 64}
"""Bits of the signed integer that holds every unsigned one of so many bits."""
_SIZED = {Kind.DECIMAL: "decimal({size},{scale})", Kind.STRING: "varchar({size})", Kind.DATETIME: "datetime({size})"}
_NAMED = {Kind.YEAR: "int16", Kind.BINARY: "bytes", **dict.fromkeys((Kind.TIME, Kind.INSTANT, Kind.BITS), "")}
"""Core types of other names, and kinds for which DataJoint has native types only."""
_TOLD_BY_MARK = {Kind.BOOL: "bool", Kind.UUID: "uuid", Kind.JSON: "json"}
"""What shares its native type with something else on one of the servers; the parts' keys often lack the mark."""
_CHAR = re.compile(r"char(acter)?\(", re.IGNORECASE)
_SIGNED = {8: 8, 16: 16, 24: 32, 32: 32, 64: 64}


def mark(column: Column, *, source: str, local: str) -> str:
    """Return the mark of the copy's column: the source's own on the same backend, else one for every column.

    Except for an enum with a colon in a label: DataJoint would take the rest of the mark for the comment, and reads the
    column rightly without.
    """
    if source == local or is_text(column) or column.addressing:
        return column.marker or _TOLD_BY_MARK.get(column.kind, "")
    if column.kind is Kind.INTEGER and column.marker.startswith("int"):
        return column.marker
    found = column.marker if column.marker.startswith("<") else core_type(column)
    return "" if ":" in found else found


def core_type(column: Column) -> str:
    """Return DataJoint's core type that holds every value of the column; empty where only native types do."""
    if column.kind is Kind.INTEGER:
        bits = signed_bits(column)
        return f"int{bits}" if bits else "decimal(20,0)"
    if column.kind is Kind.ENUM:
        labels = ",".join("'" + label.replace("'", "''") + "'" for label in column.labels)
        return f"enum({labels})"
    if column.kind is Kind.SET:
        return f"varchar({set_size(column)})"
    form = _SIZED.get(column.kind, _NAMED.get(column.kind, column.kind.value))
    return form.format(size=column.size, scale=column.scale)


def set_size(column: Column) -> int:
    """Return how many characters all labels of a set have, with commas between them."""
    return max(len(",".join(column.labels)), 1)


def is_char(column: Column) -> bool:
    """Tell a string of a type that does not count spaces at the end."""
    return bool(_CHAR.match(column.native))


def is_text(column: Column) -> bool:
    """Tell a string without a bound, which DataJoint knows as native types only."""
    return column.kind is Kind.STRING and column.size is None


def signed_bits(column: Column) -> int | None:
    """Return the bits of the signed integer that holds the column's values; None where only a decimal does."""
    bits = column.size or 64
    return WIDENED.get(bits) if column.unsigned else _SIGNED[bits]
