"""Which columns are known to arrive exactly, and the reasons why the others are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve

from link.adapters.datajoint import codecs, legacy_objects, stored_codecs
from link.adapters.datajoint.found import Mark
from link.adapters.datajoint.model import Column, Default, Kind
from link.domain.errors import ColumnNotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from link.adapters.datajoint.found import FoundColumn

_CORE = re.compile(
    r"(u?int(8|16|32|64)|float64|bool|uuid|jsonb?|bytes|date|datetime|varchar|enum|decimal)(\s*\(.*\))?",
    re.DOTALL | re.IGNORECASE,
)
_NOT_IN_KEY = {Kind.FLOAT64, Kind.JSON, Kind.BYTES}
_TRUTH = {"true": "1", "t": "1", "false": "0", "f": "0"}
_SINGLE = "single precision does not survive text, and does not equal itself when it is a key"
_PADDED = "PostgreSQL pads it with spaces and MySQL strips them"
_ZONED = "its value depends on the session's time zone"
_TIMED = "the servers' ranges of it differ"
_EXTERNAL = codecs.Objection(
    "DataJoint 0.11 and older keep its values outside the database, where no later version finds them",
    "Let lab S copy the values, with the DataJoint that wrote them, into a longblob of another table, and link that table.",
)
_REASONS = {
    **dict.fromkeys(("float", "float4", "real"), _SINGLE),
    **dict.fromkeys(("char", "bpchar"), _PADDED),
    **dict.fromkeys(("timestamp", "timestamptz", "timetz"), _ZONED),
    **dict.fromkeys(("time", "year", "interval"), _TIMED),
}


def plain_column(table: str, found: FoundColumn, kinds: Mapping[str, Kind], *, in_key: bool) -> Column:
    """Return the column as the copy will have it.

    Raises:
        ColumnNotSupported: its values are not known to arrive exactly.
    """
    mark = Mark.split(found.comment)
    if stored_codecs.is_stored(mark.type):
        return _stored_column(table, found, mark, in_key=in_key)
    if marker := legacy_objects.modern(mark.type, found.native):
        found = evolve(found, base="json", charset="", collation="")
        column = _stored_column(table, found, evolve(mark, type=marker), in_key=in_key)
        return evolve(column, external=table.rpartition(".")[0])
    kind = kinds.get(found.base)
    if objection := _objection(found, mark.type, kind, in_key=in_key):
        raise ColumnNotSupported(
            table=table,
            column=found.name,
            type=mark.type or found.native,
            reason=objection.reason,
            instead=objection.advice,
        )
    assert kind is not None  # noqa: S101 - no kind is a reason
    return Column(
        name=found.name,
        kind=kind,
        native=found.native,
        marker=mark.type,
        comment=mark.comment,
        nullable=found.nullable,
        default=_default(found.default, kind),
        in_key=in_key,
        size=found.size,
        scale=found.scale,
        unsigned=found.unsigned,
        labels=found.labels,
        charset=found.charset,
        collation=found.collation,
    )


def _stored_column(table: str, found: FoundColumn, mark: Mark, *, in_key: bool) -> Column:
    """Return a column whose values are in an object store: JSON on every server, MariaDB's being text."""
    addressing, reason = stored_codecs.addressing(mark.type)
    if found.base not in {"json", "jsonb", "longtext"}:
        reason = "its mark does not fit its type"
    if addressing is None or reason or in_key:
        raise ColumnNotSupported(table=table, column=found.name, type=mark.type, reason=reason or "it cannot be a key")
    return Column(
        name=found.name,
        kind=Kind.JSON,
        native=found.native,
        marker=mark.type,
        comment=mark.comment,
        nullable=found.nullable,
        charset=found.charset,
        collation=found.collation,
        addressing=addressing,
    )


def _objection(found: FoundColumn, marker: str, kind: Kind | None, *, in_key: bool) -> codecs.Objection | None:
    if marker.startswith("external"):
        return _EXTERNAL
    if marker.startswith("<") and "@" not in marker:
        return codecs.objection(marker, kind, in_key=in_key)
    reason = _reason(found, marker, kind) or (_key_reason(found, kind) if in_key else "")
    return codecs.Objection(reason) if reason else None


def _reason(found: FoundColumn, marker: str, kind: Kind | None) -> str:
    if reason := _marker_reason(marker):
        return reason
    if kind is None:
        return _REASONS.get(found.base, "its type is not known to arrive exactly")
    if kind is Kind.DECIMAL and (found.size is None or not 0 <= (found.scale or 0) <= found.size):
        return "a decimal needs a number of digits and a scale within it"
    return ""


def _marker_reason(marker: str) -> str:
    if "@" in marker:
        return "it keeps its values in an object store"
    if marker.startswith("float32"):
        return _SINGLE
    if marker.startswith("char"):
        return _PADDED
    return "" if not marker or _CORE.fullmatch(marker) else f"its mark {marker!r} is unknown"


def _key_reason(found: FoundColumn, kind: Kind | None) -> str:
    if kind is Kind.STRING and found.size is None:
        return "a text type cannot be a key on every server"
    return "a key of this type is not compared alike on every server" if kind in _NOT_IN_KEY else ""


def _default(default: Default | None, kind: Kind) -> Default | None:
    """Bring a default into wire form; one that has none (a zero date, bytes, today's date) is left out."""
    if default is None or kind is Kind.BYTES or (default.now and kind is not Kind.DATETIME):
        return None
    text = default.value or ""
    if text.startswith("0000-00-00"):
        return None
    if kind is Kind.BOOL:
        return evolve(default, value=_TRUTH.get(text.lower(), text))
    if kind is Kind.UUID:
        text = text.replace("-", "").lower()
        return Default(value=text) if re.fullmatch(r"[0-9a-f]{32}", text) else None
    return default
