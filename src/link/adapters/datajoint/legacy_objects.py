"""What DataJoint 0.12 to 0.14 keeps in stores: `blob@s`, `attach@s`, `filepath@s`, whose columns hold a hash of 16 bytes.

The hash is a row of the schema's table `~external_s`. For a blob it is the MD5 of the content, for an attachment that of
`name`, a zero byte, and the content: what DataJoint 2 names the same value by. So both become content-addressed objects that
DataJoint 2 reads, an attachment's with its name put in front; a file keeps its path.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARK = re.compile(r"(?:blob|attach|filepath)@\w+")
_FOLDS = (2, 2)
"""How the older DataJoint subdivides folders unless told otherwise."""


def modern(marker: str, native: str) -> str:
    """Return DataJoint 2's mark for a column of the older kind; empty for any other one."""
    return f"<{marker}>" if native.lower() == "binary(16)" and _MARK.fullmatch(marker) else ""


def render(name: str, schema: str, store: str) -> str:
    """Return the SQL for what the older DataJoint recorded of the object whose hash the column `name` holds, as JSON."""
    table = f"`{schema}`.`~external_{store}`".replace("%", "%%")
    facts = {
        "external": "LOWER(HEX(e.hash))",
        "size": "e.size",
        "name": "CONVERT(e.attachment_name USING utf8mb4)",
        "path": "CONVERT(e.filepath USING utf8mb4)",
        "contents": "LOWER(HEX(e.contents_hash))",
        "timestamp": "DATE_FORMAT(e.timestamp, '%%Y-%%m-%%dT%%H:%%i:%%s+00:00')",
    }
    listed = ", ".join(f"'{key}', {value}" for key, value in facts.items())
    found = f"(SELECT JSON_OBJECT({listed}) FROM {table} e WHERE e.hash = {name})"
    return f"IF({name} IS NULL, NULL, CONVERT(COALESCE({found}, CONCAT('\"', HEX({name}), '\"')) USING utf8mb4))"


def content(digest: str) -> str:
    """Return DataJoint 2's name of a content by its MD5 in hexadecimal digits."""
    return base64.b32encode(bytes.fromhex(digest)).decode().rstrip("=").lower()


def prefix(facts: Mapping[str, Any]) -> bytes:
    """Return what DataJoint 2 has in front of an attachment's bytes; nothing for what is none."""
    return f"{facts['name']}\0".encode() if facts.get("name") else b""


def recorded(facts: Mapping[str, Any], schema: str, spec: Mapping[str, Any], *, is_path: bool) -> dict[str, Any]:
    """Return what DataJoint 2 would have recorded of the object, but for its path: that is where the older one put it."""
    if is_path:
        return {"path": facts["path"], "store": "", "size": facts["size"], "is_dir": False, "timestamp": facts["timestamp"]}
    digest, folds = str(facts["external"]), spec.get("subfolding")
    parts, rest = [], digest
    for length in _FOLDS if folds is None else folds:
        parts.append(rest[:length])
        rest = rest[length:]
    ending = f".{facts['name']}" if facts.get("name") else ""
    return {
        "hash": content(digest),
        "path": "/".join([schema, *parts, digest + ending]),
        "schema": schema,
        "store": "",
        "size": facts["size"] + len(prefix(facts)),
    }
