"""DataJoint's marks: which type a column of the copy is declared as in DataJoint's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from link.adapters.datajoint.model import Column

WIDENED = {8: 16, 16: 32, 24: 32, 32: 64}
"""Bits of the signed integer that holds every unsigned one of so many bits."""
_SIGNED = {8: 8, 16: 16, 24: 32, 32: 32, 64: 64}


def mark(column: Column, *, source: str, local: str) -> str:
    """Return the mark of the copy's column: the source's own on the same backend, else one for every column."""
    if source == local:
        return column.marker
    if column.kind is Kind.INTEGER and column.marker.startswith("int"):
        return column.marker
    return "<blob>" if column.marker == "<blob>" else core_type(column)


def core_type(column: Column) -> str:  # noqa: PLR0911 - one line a kind
    """Return DataJoint's core type that holds every value of the column."""
    match column.kind:
        case Kind.INTEGER:
            bits = signed_bits(column)
            return f"int{bits}" if bits else "decimal(20,0)"
        case Kind.DECIMAL:
            return f"decimal({column.size},{column.scale})"
        case Kind.STRING:
            return f"varchar({column.size})"
        case Kind.ENUM:
            labels = ",".join("'" + label.replace("'", "''") + "'" for label in column.labels)
            return f"enum({labels})"
        case Kind.DATETIME:
            return f"datetime({column.size})"
        case Kind.FLOAT64 | Kind.BOOL | Kind.DATE | Kind.UUID | Kind.JSON | Kind.BYTES:
            return column.kind.value
        case _:
            assert_never(column.kind)


def signed_bits(column: Column) -> int | None:
    """Return the bits of the signed integer that holds the column's values; None where only a decimal does."""
    bits = column.size or 64
    return WIDENED.get(bits) if column.unsigned else _SIGNED[bits]
