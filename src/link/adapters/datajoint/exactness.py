"""What a column can hold exactly, told from the wire form alone: servers round, cut and clamp without a word."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint import codecs
from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.adapters.datajoint.model import Column

    Check = Callable[[Any], str]
    """Takes a value in wire form."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?[0-9]+(\.([0-9]+))?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?")
_ONLY_POSTGRESQL = re.compile(r"-?infinity|[0-9]{5,7}-[0-9-]{5}( [0-9:.]+)?|[0-9]{4,}-[0-9-]{5}( [0-9:.]+)? BC")
_UUID = re.compile(r"[0-9a-f]{32}")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_DELICATE = re.compile(r"[0-9][0-9.]{15}|[0-9][eE]")
"""Numbers in JSON text that a double may not hold."""


def comparable(column: Column, value: str, *, postgresql: bool) -> bool:
    """Whether a key's `value` can equal one of the column's; the server is not asked about one that cannot.

    Its casts would turn it into another value, which may well be there, or fail the whole statement.
    """
    return _COMPARABLE[column.kind](column, value, postgresql)


def _integer(column: Column, value: str, postgresql: bool) -> bool:
    if not _INTEGER.fullmatch(value):
        return False
    bits = column.size if column.size in {8, 16, 24, 32, 64} else 64
    low, high = (0, 2**bits) if column.unsigned and not postgresql else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return low <= int(value) < high


def _bool(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return value in {"0", "1"} if postgresql else bool(_INTEGER.fullmatch(value)) and -128 <= int(value) < 128  # noqa: PLR2004


def _decimal(column: Column, value: str, postgresql: bool) -> bool:
    if postgresql and value in {"NaN", "Infinity", "-Infinity"}:
        return True
    return bool(_DECIMAL.fullmatch(value)) and not _scale_fault(column, value) and not _precision_fault(column, value)


def _text(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return not (postgresql and "\0" in value)


def _enum(column: Column, value: str, postgresql: bool) -> bool:
    return not postgresql or value in column.labels


def _date(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return _is_day(value) or (postgresql and _is_beyond_iso(value))


def _datetime(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    if _is_day(value[:10]) and value[10:11] == " " and _TIME.fullmatch(value, 11):
        return True
    return postgresql and _is_beyond_iso(value)


def _is_beyond_iso(value: str) -> bool:
    """Whether it is a time that only PostgreSQL has: infinite, before Christ, or after the year 9999."""
    return bool(_ONLY_POSTGRESQL.fullmatch(value))


def _is_day(value: str) -> bool:
    if len(value) != 10 or value[4] != "-":  # noqa: PLR2004 - Python also reads other forms
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _uuid(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return bool(_UUID.fullmatch(value))


def _float(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return bool(_FLOAT.fullmatch(value)) or (postgresql and value in {"NaN", "Infinity", "-Infinity"})


_COMPARABLE: dict[Kind, Callable[[Column, str, bool], bool]] = {
    Kind.INTEGER: _integer,
    Kind.FLOAT64: _float,
    Kind.DECIMAL: _decimal,
    Kind.BOOL: _bool,
    Kind.STRING: _text,
    Kind.ENUM: _enum,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.UUID: _uuid,
    Kind.JSON: _text,
    Kind.BYTES: _text,
}


# ---- before an insert


def check_of(column: Column, *, postgresql: bool, mariadb: bool) -> Check | None:  # noqa: PLR0911 - a return for each kind
    """Return what says why a value cannot be held exactly ('' where it can), or None where the server itself refuses."""
    if column.kind is Kind.BYTES:
        return codecs.check_of(column.marker)
    if column.kind is Kind.STRING:
        return lambda value: _length_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.DECIMAL:
        return lambda value: _decimal_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.DATETIME:
        return lambda value: _datetime_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.DATE and not postgresql:
        return lambda value: "" if _is_day(value) else f"there is no {value} there"
    if column.kind is Kind.FLOAT64 and not postgresql:
        return lambda value: f"{value} is no number there" if value in {"NaN", "Infinity", "-Infinity"} else ""
    if column.kind is Kind.JSON and not postgresql and not mariadb:
        return _json_fault
    return None


def _length_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if column.size is not None and len(value) > column.size:
        return f"it has {len(value)} characters, and the column {column.size}"
    return "it contains a NUL character" if postgresql and "\0" in value else ""


def _decimal_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if not _DECIMAL.fullmatch(value):
        return "" if postgresql else f"{value} is no number there"
    return _scale_fault(column, value) or _precision_fault(column, value)


def _scale_fault(column: Column, value: str) -> str:
    scale = column.scale or 0
    if column.size is None or "." not in value or len(value.partition(".")[2].rstrip("0")) <= scale:
        return ""
    return f"{value} has more than {scale} digits after the point"


def _precision_fault(column: Column, value: str) -> str:
    digits = (column.size or 0) - (column.scale or 0)
    if column.size is None or len(value.partition(".")[0].lstrip("-0")) <= digits:
        return ""
    return f"{value} has more than {digits} digits before the point"


def _datetime_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if not postgresql and not (_is_day(value[:10]) and _TIME.fullmatch(value, 11)):
        return f"there is no {value} there"
    digits = column.size if column.size is not None else 6 if postgresql else 0
    if "." in value and len(value.partition(".")[2].rstrip("0 BC")) > digits:
        return f"{value} has more than {digits} digits after the point"
    return ""


def _json_fault(text: str) -> str:
    """MySQL reads numbers in JSON as 64-bit integers or doubles."""
    inexact: list[str] = []
    if _DELICATE.search(text):
        json.loads(text, parse_int=_collect(inexact), parse_float=_collect(inexact))
    return f"the number {inexact[0]} in it would be rounded" if inexact else ""


def _collect(inexact: list[str]) -> Callable[[str], None]:
    def look(token: str) -> None:
        number = Decimal(token)
        is_integer = _INTEGER.fullmatch(token) and -(2**63) <= int(token) < 2**64
        if not is_integer and number != Decimal(repr(float(token))):
            inexact.append(token)

    return look
