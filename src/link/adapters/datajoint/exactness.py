"""Values in wire form without a server: which can equal a column's, and which mean the same."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.adapters.datajoint.model import Column

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"-?[0-9]+(\.([0-9]+))?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?")
_ONLY_POSTGRESQL = re.compile(r"-?infinity|[0-9]{5,7}-[0-9-]{5}( [0-9:.]+)?|[0-9]{4,}-[0-9-]{5}( [0-9:.]+)? BC")
_SPAN = re.compile(r"-?([0-9]{2,3}):[0-5][0-9]:[0-5][0-9](\.([0-9]{1,6}))?")
_INTERVAL = re.compile(r"-?infinity|[-+0-9a-z :.]+")
_HEX = re.compile(r"([0-9a-f]{2})*")
_UUID = re.compile(r"[0-9a-f]{32}")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LONGEST = "838:59:59"
"""MySQL's longest time."""


def comparable(column: Column, value: str, *, postgresql: bool) -> bool:
    """Whether a key's `value` can equal one of the column's; the server is not asked about one that cannot.

    Its casts would turn it into another value, which may well be there, or fail the whole statement.
    """
    return _COMPARABLE[column.kind](column, value, postgresql)


def _integer(column: Column, value: str, postgresql: bool) -> bool:
    if not INTEGER.fullmatch(value):
        return False
    bits = column.size if column.size in {8, 16, 24, 32, 64} else 64
    low, high = (0, 2**bits) if column.unsigned and not postgresql else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return low <= int(value) < high


def _bool(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return value in {"0", "1"} if postgresql else bool(INTEGER.fullmatch(value)) and -128 <= int(value) < 128  # noqa: PLR2004


def _decimal(column: Column, value: str, postgresql: bool) -> bool:
    if postgresql and value in {"NaN", "Infinity", "-Infinity"}:
        return True
    return bool(DECIMAL.fullmatch(value)) and not scale_fault(column, value) and not precision_fault(column, value)


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


def _time(column: Column, value: str, postgresql: bool) -> bool:
    if postgresql and column.native.startswith("interval"):
        return bool(_INTERVAL.fullmatch(value))
    longest = "24:00:00" if postgresql else _LONGEST
    return bool(_SPAN.fullmatch(value)) and not (postgresql and value.startswith("-")) and _span(value) <= _span(longest)


def _span(value: str) -> Decimal:
    """Return the seconds of a time, without its sign."""
    hours, minutes, seconds = value.lstrip("-").split(":")
    return Decimal(hours) * 3600 + Decimal(minutes) * 60 + Decimal(seconds)


def _year(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return bool(INTEGER.fullmatch(value)) and (value == "0" or 1901 <= int(value) <= 2155)  # noqa: PLR2004 - MySQL's


def _binary(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return bool(_HEX.fullmatch(value)) and (column.size is None or len(value) <= 2 * column.size)


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
    Kind.TIME: _time,
    Kind.INSTANT: _datetime,
    Kind.YEAR: _year,
    Kind.BINARY: _binary,
    **dict.fromkeys((Kind.FLOAT32, Kind.BITS, Kind.SET), lambda *_: False),  # never in a key
}


def scale_fault(column: Column, value: str) -> str:
    """Say that a decimal has more digits after the point than the column; '' where it has not."""
    scale = column.scale or 0
    if column.size is None or "." not in value or len(value.partition(".")[2].rstrip("0")) <= scale:
        return ""
    return f"{value} has more than {scale} digits after the point"


def precision_fault(column: Column, value: str) -> str:
    """Say that a decimal has more digits before the point than the column; '' where it has not."""
    digits = (column.size or 0) - (column.scale or 0)
    if column.size is None or len(value.partition(".")[0].lstrip("-0")) <= digits:
        return ""
    return f"{value} has more than {digits} digits before the point"


def canonical(column: Column, value: object) -> object:
    """Return what is the same for wire values of one meaning, which servers spell differently."""
    if not isinstance(value, str):
        return value
    if column.kind in {Kind.FLOAT64, Kind.FLOAT32}:
        return repr(float(value))
    if column.kind is Kind.JSON:
        return json.dumps(json.loads(value), sort_keys=True)
    if column.kind in {Kind.DATETIME, Kind.TIME, Kind.INSTANT, Kind.DECIMAL} and "." in value:
        return value.rstrip("0").rstrip(".")
    return value
