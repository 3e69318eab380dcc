"""Goes through the points of a kind of fault, one after the other, and looks at each what is left."""

from __future__ import annotations

from attrs import define, field
from states import OPERATIONS
from watch import Violation


@define
class Tally:
    points: int = 0
    violations: list = field(factory=list)

    def __add__(self, other):
        return Tally(self.points + other.points, self.violations + other.violations)


def explore(stage, kind, operation, *, step=1, first=1):
    """Let the fault happen before every `step`-th statement of the operation, from `first` on.

    Up to the fault all goes as it went when the stage was made, and was watched.
    """
    tally = Tally()
    at = first
    while True:
        stage.restore(operation)
        try:
            if not kind.run(stage, lambda: OPERATIONS[operation](stage.item), at):
                return tally
            stage.quiet()
            stage.look()
            stage.complete(operation, exactly=kind.exactly)
        except Exception as problem:  # noqa: BLE001 - each is one, an error that is not Link's own too
            tally.violations.append(f"{kind.name}, {operation}, statement {at}: {_said(problem)}")
            print("!!", tally.violations[-1], flush=True)
        tally.points += 1
        at += step


def _said(problem):
    return str(problem) if isinstance(problem, Violation) else f"{type(problem).__name__}: {problem}"
