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
    r"(u?int(8|16|32|64)|float(32|64)|bool|uuid|jsonb?|bytes|date|datetime|(var)?char|enum|decimal)(\s*\(.*\))?",
    re.DOTALL | re.IGNORECASE,
)
_NOT_IN_KEY = {Kind.FLOAT64, Kind.FLOAT32, Kind.JSON, Kind.BYTES, Kind.BITS, Kind.SET}
_KEY_BYTES = {"binary", "varbinary", "bytea"}
_TRUTH = {"true": "1", "t": "1", "false": "0", "f": "0"}
_DIGITS = {Kind.BITS: re.compile(r"b?'?([01]+)'?"), Kind.UUID: re.compile(r"([0-9a-f]{32})")}
_EXTERNAL = codecs.Objection(
    "DataJoint 0.11 and older keep its values outside the database, where no later version finds them",
    "Let lab S fetch the values by their name, with the DataJoint that wrote them, insert them into a longblob of another"
    " table, and link that table.",
)


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
    if in_key and kind is Kind.BYTES and found.base in _KEY_BYTES:
        kind = Kind.BINARY
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
        return "its type is none of those that are known to arrive exactly"
    if found.base == "bpchar" and found.size is None:
        return "a char without a length has a meaning of its own on PostgreSQL"
    if kind is Kind.SET and "" in found.labels:
        return "a set with an empty label cannot be told from an empty set"
    return ""


def _marker_reason(marker: str) -> str:
    if "@" in marker:
        return "it keeps its values in an object store"
    return "" if not marker or _CORE.fullmatch(marker) else f"its mark {marker!r} is unknown"


def _key_reason(found: FoundColumn, kind: Kind | None) -> str:
    if kind is Kind.STRING and found.size is None:
        return "a text type cannot be a key on every server"
    return "a key of this type is not compared alike on every server" if kind in _NOT_IN_KEY else ""


def _default(default: Default | None, kind: Kind) -> Default | None:
    """Bring a default into wire form; one that has none (a zero date, bytes, an instant, today's date) is left out."""
    if default is None or kind in {Kind.BYTES, Kind.BINARY} or (default.now and kind not in {Kind.DATETIME, Kind.INSTANT}):
        return None
    text = default.value or ""
    if text.startswith("0000-00-00") or (kind is Kind.INSTANT and not default.now):
        return None
    if kind is Kind.BOOL:
        return evolve(default, value=_TRUTH.get(text.lower(), text))
    if kind in _DIGITS:
        digits = _DIGITS[kind].fullmatch(text.replace("-", "").lower())
        return Default(value=digits[1]) if digits else None
    return default
