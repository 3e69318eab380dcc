"""How many bytes InnoDB counts for a column, a key and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.adapters.datajoint.marks import is_text
from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from link.adapters.datajoint.model import Column
    from link.adapters.datajoint.session import Session

KEY = 3072
ROW = 65_535
_FIXED = {
    Kind.FLOAT64: 8,
    Kind.FLOAT32: 4,
    Kind.BOOL: 1,
    Kind.ENUM: 2,
    Kind.SET: 8,
    Kind.DATE: 3,
    Kind.TIME: 6,
    Kind.DATETIME: 8,
    Kind.INSTANT: 7,
    Kind.YEAR: 1,
    Kind.UUID: 16,
}
_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4)
"""Bytes of so many of a decimal's digits; nine have four."""
_POINTER = 12
"""What a row holds of a value of any length."""
_CHARSETS = """
SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS UNION ALL
SELECT '', MAXLEN FROM information_schema.CHARACTER_SETS c JOIN information_schema.SCHEMATA s
ON s.DEFAULT_CHARACTER_SET_NAME = c.CHARACTER_SET_NAME WHERE s.SCHEMA_NAME = %s"""


def characters(session: Session) -> dict[str, int]:
    """Return the most bytes of a character in each charset; '' is the charset of the session's schema."""
    return {str(name): int(bytes_each) for name, bytes_each in session.query(_CHARSETS, [session.schema])}


def is_indexable(column: Column) -> bool:
    """Tell a column that can be indexed whole."""
    if column.kind is Kind.BYTES:
        return column.size is not None
    return column.kind is not Kind.JSON and not is_text(column)


def width(column: Column, character: int) -> int:
    """Return the most bytes of a value, each character having at most `character`."""
    if not is_indexable(column):
        return _POINTER
    size = column.size or 0
    if column.kind is Kind.STRING:
        return size * character
    if column.kind is Kind.DECIMAL:
        scale = column.scale or 0
        return _decimal(size - scale) + _decimal(scale)
    if column.kind in {Kind.INTEGER, Kind.BITS}:
        return ((size or 64) + 7) // 8
    return _FIXED.get(column.kind, size)


def _decimal(digits: int) -> int:
    return digits // 9 * 4 + _DIGITS[digits % 9]


def row_width(column: Column, character: int) -> int:
    """Return the most bytes that a row needs for a value: those of any length have their length before them."""
    return width(column, character) + (2 if column.kind in {Kind.STRING, Kind.BINARY} else 0)
