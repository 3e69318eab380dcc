"""Compare what was brought along with what is recorded of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.use_cases.results import VerifyResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from link.use_cases.inspection import Contents, ObjectFault
    from link.use_cases.ports import Progress


def verify(
    contents: Contents, selection: object, progress: Progress, clock: Callable[[], float], *, deep: bool
) -> VerifyResult:
    """Look at the objects of the local rows that `selection` chooses, None being all; nothing is changed."""
    start, objects, size = clock(), 0, 0
    faults: list[ObjectFault] = []
    progress.begin("verify")
    try:
        for seen in contents.check(selection, deep=deep):
            objects += seen.objects
            size += seen.size
            faults += seen.faults
            progress.advance(seen.rows)
    finally:
        progress.end()
    return VerifyResult(objects=objects, size=size, faults=tuple(faults), deep=deep, seconds=clock() - start)
