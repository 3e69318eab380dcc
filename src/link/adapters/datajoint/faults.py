"""What says before an insert why a value cannot be held exactly: servers round, cut and clamp without a word."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from link.adapters.datajoint import codecs
from link.adapters.datajoint.exactness import DECIMAL, INTEGER, comparable, precision_fault, scale_fault
from link.adapters.datajoint.marks import is_char
from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.adapters.datajoint.model import Column

    Check = Callable[[Any], str]
    """Takes a value in wire form."""

_LATIN1_GAPS = dict.fromkeys((0x81, 0x8D, 0x8F, 0x90, 0x9D))
_EARLIEST, _LATEST = "1970-01-01 00:00:01", "2038-01-19 03:14:07.999999"
"""MySQL's timestamps, and MariaDB's up to 11.4."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_DELICATE = re.compile(r"[0-9][0-9.]{15}|[0-9][eE]")
"""Numbers in JSON text that a double may not hold."""
_TIMES = {Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.INSTANT}


def check_of(column: Column, *, postgresql: bool, mariadb: bool) -> Check | None:  # noqa: PLR0911 - a return for each kind
    """Return what says why a value cannot be held exactly ('' where it can), or None where the column holds all of a kind."""
    if column.kind is Kind.BYTES:
        return codecs.check_of(column.marker)
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
    if column.kind in _TIMES:
        return lambda value: _time_fault(column, value, postgresql=postgresql)
    return _check_of_float(column, postgresql=postgresql, mariadb=mariadb)


def _check_of_float(column: Column, *, postgresql: bool, mariadb: bool) -> Check | None:
    if column.kind not in {Kind.FLOAT64, Kind.FLOAT32} or postgresql:
        return None
    none = {"NaN", "Infinity", "-Infinity", *(["-0"] if mariadb else [])}  # MariaDB stores -0 as 0
    return lambda value: f"there is no {value} there" if value in none else ""


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
    if not DECIMAL.fullmatch(value):
        return "" if postgresql else f"{value} is no number there"
    return scale_fault(column, value) or precision_fault(column, value)


def _time_fault(column: Column, value: str, *, postgresql: bool) -> str:
    if not comparable(column, value, postgresql=postgresql):
        return f"there is no {value} there"
    if column.kind is Kind.INSTANT and not postgresql and not _EARLIEST <= value <= _LATEST:
        return f"a timestamp lies between {_EARLIEST} and {_LATEST} there, at UTC"
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
        is_integer = INTEGER.fullmatch(token) and -(2**63) <= int(token) < 2**64
        if not is_integer and number != Decimal(repr(float(token))):
            inexact.append(token)

    return look
