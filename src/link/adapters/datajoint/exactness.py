"""What a column can hold exactly, told from the wire form alone: servers round, cut and clamp without a word."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from link.adapters.datajoint.marks import is_char
from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.adapters.datajoint.model import Column

    Check = Callable[[str], str]

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?[0-9]+(\.([0-9]+))?")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?")
_ONLY_POSTGRESQL = re.compile(r"-?infinity|[0-9]{5,7}-[0-9-]{5}( [0-9:.]+)?|[0-9]{4,}-[0-9-]{5}( [0-9:.]+)? BC")
_SPAN = re.compile(r"-?([0-9]{2,3}):[0-5][0-9]:[0-5][0-9](\.([0-9]{1,6}))?")
_INTERVAL = re.compile(r"-?infinity|[-+0-9a-z :.]+")
_HEX = re.compile(r"([0-9a-f]{2})*")
_UUID = re.compile(r"[0-9a-f]{32}")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LATIN1_GAPS = dict.fromkeys((0x81, 0x8D, 0x8F, 0x90, 0x9D))
_LONGEST = "838:59:59"
"""MySQL's longest time."""
_EARLIEST, _LATEST = "1970-01-01 00:00:01", "2038-01-19 03:14:07.999999"
"""MySQL's timestamps, and MariaDB's up to 11.4."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
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
    return bool(_INTEGER.fullmatch(value)) and (value == "0" or 1901 <= int(value) <= 2155)  # noqa: PLR2004 - MySQL's


def _binary(column: Column, value: str, postgresql: bool) -> bool:  # noqa: ARG001
    return bool(_HEX.fullmatch(value))


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


# ---- before an insert


def check_of(column: Column, *, postgresql: bool, mariadb: bool) -> Check | None:
    """Return what says why a value cannot be held exactly ('' where it can), or None where the column holds all of a kind."""
    if column.kind is Kind.STRING:
        return lambda value: _length_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.ENUM:
        return lambda value: "" if value in column.labels else "it is none of the column's labels"
    if column.kind is Kind.DECIMAL:
        return lambda value: _decimal_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.BOOL and postgresql:
        return lambda value: "" if value in {"0", "1"} else "a bool is 0 or 1 there"
    if column.kind is Kind.JSON:
        is_text = mariadb or (postgresql and column.native == "json")
        return None if is_text else partial(_json_fault, postgresql=postgresql)
    return _check_of_time(column, postgresql=postgresql) or _check_of_float(column, postgresql=postgresql)


def _check_of_time(column: Column, *, postgresql: bool) -> Check | None:
    if column.kind is Kind.DATE:
        return lambda value: "" if _date(column, value, postgresql) else f"there is no {value} there"
    if column.kind is Kind.TIME:
        return lambda value: _time_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.DATETIME:
        return lambda value: _datetime_fault(column, value, postgresql=postgresql)
    if column.kind is Kind.INSTANT:
        return lambda value: _instant_fault(column, value, postgresql=postgresql)
    return None


def _check_of_float(column: Column, *, postgresql: bool) -> Check | None:
    if column.kind not in {Kind.FLOAT64, Kind.FLOAT32} or postgresql:
        return None
    return lambda value: f"{value} is no number there" if value in {"NaN", "Infinity", "-Infinity"} else ""


def _length_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if column.size is not None and len(value) > column.size:
        return f"it has {len(value)} characters, and the column {column.size}"
    if value.endswith(" ") and is_char(column):
        return "a char has no spaces at its end"
    if postgresql:
        return "it contains a NUL character" if "\0" in value else ""
    return _charset_fault(column.charset, value) if not value.isascii() else ""


def _charset_fault(charset: str, value: str) -> str:
    """Look at the usual charsets; the others' characters only the server knows."""
    if charset in {"utf8", "utf8mb3", "ucs2"}:
        fits = max(value) <= "\uffff"
    elif charset == "latin1":  # which is cp1252 with its gaps filled
        fits = value.translate(_LATIN1_GAPS).encode("cp1252", "replace").count(b"?") == value.count("?")
    else:
        fits = charset != "ascii"
    return "" if fits else f"its column's charset {charset} lacks one of its characters"


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
    if not _datetime(column, value, postgresql):
        return f"there is no {value} there"
    return _fraction_fault(column, value, postgresql=postgresql)


def _instant_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if not postgresql and not _EARLIEST <= value <= _LATEST:
        return f"a timestamp lies between {_EARLIEST} and {_LATEST} there, at UTC"
    return _datetime_fault(column, value, postgresql=postgresql)


def _time_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if not _time(column, value, postgresql):
        return f"there is no time {value} there"
    return _fraction_fault(column, value, postgresql=postgresql)


def _fraction_fault(column: Column, value: str, *, postgresql: bool) -> str:
    digits = column.size if column.size is not None else 6 if postgresql else 0
    if "." in value and len(value.partition(".")[2].rstrip("0 BC")) > digits:
        return f"{value} has more than {digits} digits after the point"
    return ""


def _json_fault(text: str, *, postgresql: bool) -> str:
    """MySQL reads numbers in JSON as 64-bit integers or doubles; what keeps no text keeps one of two equal names."""
    if postgresql and _NUL.search(text):
        return "it contains a NUL character"
    inexact: list[str] = []
    twice: list[str] = []
    look = _collect(inexact) if not postgresql and _DELICATE.search(text) else None
    json.loads(text, parse_int=look, parse_float=look, object_pairs_hook=_names(twice))
    if twice:
        return f"the name {twice[0]!r} stands twice in one of its objects"
    return f"the number {inexact[0]} in it would be rounded" if inexact else ""


def _names(twice: list[str]) -> Callable[[list[tuple[str, object]]], None]:
    def look(pairs: list[tuple[str, object]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            names = [name for name, _ in pairs]
            twice.append(next(name for name in names if names.count(name) > 1))

    return look


def _collect(inexact: list[str]) -> Callable[[str], None]:
    def look(token: str) -> None:
        number = Decimal(token)
        is_integer = _INTEGER.fullmatch(token) and -(2**63) <= int(token) < 2**64
        if not is_integer and number != Decimal(repr(float(token))):
            inexact.append(token)

    return look


# ---- for a comparison


def canonical(column: Column, value: object) -> object:
    """Return what is the same for wire values of one meaning, which servers spell differently."""
    if not isinstance(value, str):
        return value
    if column.kind in {Kind.FLOAT64, Kind.FLOAT32}:
        return repr(float(value) + 0.0)  # MariaDB has no -0
    if column.kind is Kind.JSON:
        return json.dumps(json.loads(value), sort_keys=True)
    if column.kind in {Kind.DATETIME, Kind.TIME, Kind.INSTANT, Kind.DECIMAL} and "." in value:
        return value.rstrip("0").rstrip(".")
    return value
