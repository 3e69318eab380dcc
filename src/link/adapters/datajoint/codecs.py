"""DataJoint's codecs: which of them read what stands in a column, and what they need to read it rightly."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from attrs import frozen
from datajoint import codecs
from datajoint.errors import DataJointError

from link.adapters.datajoint.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT_IN = frozenset({"attach", "blob", "filepath", "hash", "npy", "object"})
_HEADS = (b"mYm\0", b"dj0\0")
_COMPRESSED = b"ZL123\0"
_LENGTH = 8
"""Bytes between the head of a compressed blob and what is compressed."""
_KINDS = {
    "bytes": Kind.BYTES,
    "longblob": Kind.BYTES,
    "mediumblob": Kind.BYTES,
    "blob": Kind.BYTES,
    "tinyblob": Kind.BYTES,
    "json": Kind.JSON,
    "varchar": Kind.STRING,
    "char": Kind.STRING,
    "enum": Kind.ENUM,
    "decimal": Kind.DECIMAL,
    "float64": Kind.FLOAT64,
    "double": Kind.FLOAT64,
    "bool": Kind.BOOL,
    "uuid": Kind.UUID,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
}


@frozen
class Objection:
    """Why a column cannot be copied, and what to do."""

    reason: str
    advice: str = ""


@frozen
class Reading:
    """What a mark makes of a column on this machine: its codecs' names, outermost first, and the type below them."""

    names: tuple[str, ...]
    stored: str

    @classmethod
    def of(cls, marker: str) -> Reading:
        """Ask DataJoint, where codecs are registered by name; raises its error for a name without one, or a cycle."""
        stored, chain, _ = codecs.resolve_dtype(marker)
        return cls(tuple(str(codec.name) for codec in chain), stored)


def clash(name: str) -> Objection:
    """Object to an adapter of DataJoint 0.12 to 0.14 that has the name of one of DataJoint 2's codecs."""
    return Objection(
        f"an adapter of an older DataJoint has written it, and DataJoint 2's own codec <{name}> would read it instead",
        f"Let lab S rename the adapter, in its code and in the column's comment, which begins with :<{name}>:, and define a"
        " dj.Codec of the new name here.",
    )


def objection(marker: str, kind: Kind | None, *, in_key: bool) -> Objection | None:
    """Return why a column marked `<…>`, without a store, cannot be copied; None where it can."""
    name = marker.strip("<>").strip()
    if not codecs.is_codec_registered(name):
        advice = (
            f"Define a dj.Codec with name = {name!r} that reads what lab S's writes, and import it before this table is used."
        )
        return Objection(f"no codec of its name {name!r} is registered here", advice)
    if in_key:
        return Objection("a key is compared by its own type, not by a codec's values")
    try:
        reading = Reading.of(marker)
    except DataJointError:  # the built-in codecs that keep values in stores say so here, and cycles
        return clash(name) if name in BUILT_IN else Objection("its codec does not say what stands in the column")
    if "@" in reading.stored or reading.stored.startswith("<"):
        return Objection("it keeps its values in an object store")
    if kind is None or _KINDS.get(_base(reading.stored), kind) is not kind:
        return Objection(
            f"the codec {marker} of this side reads {reading.stored}, and the column holds something else",
            "Let the codec's get_dtype() return the type of the column, or '<blob>' where it holds DataJoint's blobs.",
        )
    return None


def _base(stored: str) -> str:
    return stored.partition("(")[0].strip().lower()


def check_of(marker: str) -> Callable[[bytes], str] | None:
    """Return what says why bytes cannot be read by a column's codecs ('' where they can); None where all can."""
    if not marker.startswith("<") or "@" in marker:
        return None
    try:
        innermost = Reading.of(marker).names[-1]
    except DataJointError:  # nobody here reads it
        return None
    return {"blob": _blob_fault, "attach": _attachment_fault}.get(innermost)


def _blob_fault(value: bytes) -> str:
    """DataJoint reads None, without an error, out of bytes that do not begin as one of its blobs."""
    head = value[: len(_COMPRESSED) + _LENGTH]
    if head.startswith(_COMPRESSED):
        head = _inflated(value[len(_COMPRESSED) + _LENGTH :])
    if head.startswith(_HEADS):
        return ""
    return f"it begins with {value[:6]!r}, which is no blob of DataJoint's and would be read as None"


def _inflated(compressed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(compressed, len(_HEADS[0]))
    except zlib.error:
        return b""


def _attachment_fault(value: bytes) -> str:
    """DataJoint writes the file where its name says, so the name must be no more than that."""
    name, end, _ = value.partition(b"\0")
    if end and name not in {b"", b".", b".."} and not {*b"/\\"} & {*name}:
        return ""
    return f"it begins with {value[:20]!r}, which is no attached file's name"
