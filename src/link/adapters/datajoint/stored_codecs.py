"""What DataJoint's codecs do with the values of a column that is marked with a store."""

from __future__ import annotations

import re

from datajoint.builtin_codecs.filepath import FilepathCodec
from datajoint.builtin_codecs.hash import HashCodec
from datajoint.builtin_codecs.schema import SchemaCodec
from datajoint.codecs import Codec, get_codec, is_codec_registered, resolve_dtype
from datajoint.errors import DataJointError

from link.adapters.datajoint.model import Addressing

_STORED = re.compile(r"<([^@<>]+)@([^@<>]*)>")


def is_stored(marker: str) -> bool:
    """Whether a mark says that the values are in an object store."""
    return bool(_STORED.fullmatch(marker))


def addressing(marker: str) -> tuple[Addressing | None, str]:
    """Return how a marked column names its objects, or None and the reason why that is not known.

    A codec may be built on others: what counts is the last one, which puts the bytes into the store.
    """
    name = marker.strip("<>").partition("@")[0]
    if not is_codec_registered(name):
        return None, f"no codec <{name}> is registered in this process; import the package that defines it"
    try:
        _, chain, _ = resolve_dtype(marker)
    except DataJointError as error:
        return None, str(error)
    if type(chain[0]).referenced_paths is not Codec.referenced_paths:
        return None, "its codec refers to its objects in a form of its own"
    kinds = ((HashCodec, Addressing.HASH), (SchemaCodec, Addressing.SCHEMA), (FilepathCodec, Addressing.PATH))
    found = next((kind for codec, kind in kinds if isinstance(chain[-1], codec)), None)
    return found, "" if found else "its codec keeps its objects in a way that is not known"


def is_counted(marker: str) -> bool:
    """Whether DataJoint's garbage collection counts what a column names: by the name or the class of its outermost codec.

    It overlooks a codec of the user's own that is built on `<blob@>`, `<hash@>` or `<object@>`, and removes its objects.
    """
    outermost = get_codec(marker)
    return outermost.name in {"hash", "blob", "attach"} or isinstance(outermost, SchemaCodec)


def in_store(marker: str, store: str) -> str:
    """Return a mark with another store."""
    return f"{marker.partition('@')[0]}@{store}>"
