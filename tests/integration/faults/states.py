"""The operations, and the states that they start from: in each there is a lot to do."""

from __future__ import annotations

from link.domain.transfers import Operation

OPERATIONS = {
    "pull": lambda item: item.pull(),
    "delete": lambda item: (item & "item < 3").delete(),
    "refresh": lambda item: item.refresh(),
    "recovery": lambda item: item.refresh(),
    "repair": lambda item: item.repair(release_lost=True, prompt=False),
}


def _for_pull(stage):
    stage.item.pull("item > 1")
    stage.request(2, 4)
    (stage.item & "item = 4").delete()
    stage.withdraw(4)
    stage.request(3)
    stage.lose(3, 5)


def _for_delete(stage):
    stage.item.pull()
    stage.request(2, 4)
    stage.note(0, 2)
    stage.item.refresh()


def _for_refresh(stage):
    stage.item.pull()
    stage.request(1, 2, 4)
    (stage.item & "item = 4").delete()
    stage.item.refresh()
    stage.withdraw(1, 4)
    stage.request(0, 3)
    stage.lose(3)


def _for_recovery(stage):
    stage.item.pull("item > 1")
    stage.request(3)
    stage.interrupt(Operation.PULL, [0], decided=False)
    stage.interrupt(Operation.PULL, [1], decided=True)
    stage.interrupt(Operation.DELETE, [2, 3], decided=True)
    stage.interrupt(Operation.DELETE, [4], decided=False)
    stage.request(0)


def _for_repair(stage):
    stage.item.pull()
    stage.request(3, 4)
    stage.lose(2, 3, 4, 5)
    stage.damage(forget=(0, 4), unhold=(1,), vanish=(5,))
    stage.interrupt(Operation.DELETE, [1], decided=False)


PREPARED = {
    "pull": _for_pull,
    "delete": _for_delete,
    "refresh": _for_refresh,
    "recovery": _for_recovery,
    "repair": _for_repair,
}
BROKEN = {"repair": frozenset({0, 1, 4, 5})}
"""The keys for which the promise does not hold, or which nothing guards, in the state that an operation starts from."""
