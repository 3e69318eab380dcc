"""Link DataJoint tables on different database servers.

Importing this package imports nothing else: DataJoint, which looks for its configuration, comes with the first name used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from link.domain import errors
    from link.infrastructure.lazy_schema import LazySchema
    from link.infrastructure.link import Link
    from link.use_cases.results import DeleteResult, DoctorResult, PullResult, RefreshResult, RepairResult, VerifyResult

__all__ = [
    "DeleteResult",
    "DoctorResult",
    "LazySchema",
    "Link",
    "PullResult",
    "RefreshResult",
    "RepairResult",
    "VerifyResult",
    "errors",
]

_PLACES = {
    "DeleteResult": "link.use_cases.results",
    "DoctorResult": "link.use_cases.results",
    "LazySchema": "link.infrastructure.lazy_schema",
    "Link": "link.infrastructure.link",
    "PullResult": "link.use_cases.results",
    "RefreshResult": "link.use_cases.results",
    "RepairResult": "link.use_cases.results",
    "VerifyResult": "link.use_cases.results",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("link.domain.errors")
    if name not in _PLACES:
        message = f"module 'link' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_PLACES[name]), name)
