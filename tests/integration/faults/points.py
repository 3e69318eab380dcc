"""Goes through the points of a kind of fault, one after the other, and looks at each what is left."""

from __future__ import annotations

from itertools import count

from attrs import define, field
from stage import may_change
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

    Up to the fault all goes as it went when the stage was made, and was watched. Where a kind is about what the servers hold,
    and no statement is to be left out, those that follow one that only reads are.
    """
    tally = Tally()
    for at in _after_changes(stage, operation) if kind.by_state and step == 1 else count(first, step):
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
    return tally


def _after_changes(stage, operation):
    return [1, *(at for at, statement in enumerate(stage.statements(operation), start=2) if may_change(statement))]


def _said(problem):
    return str(problem) if isinstance(problem, Violation) else f"{type(problem).__name__}: {problem}"
