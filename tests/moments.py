"""Things that happen to runs over the in-memory servers at chosen moments."""

from __future__ import annotations

from link.adapters.in_memory import Run

A, B, C = KEYS = [(name,) for name in "abc"]


def ports(world, **settings):
    return Run(world).ports(**settings)


def yes(_removal):
    return True


def once(world, step, act):
    """Let `act` happen just before the first time that a run takes `step`; what it returns befalls that step."""
    done = []

    def at_step(_owner, name):
        if name == step and not done:
            done.append(name)
            return act()
        return None

    world.at_step = at_step


def open_entries(world):
    return [entry for entry in world.journal.values() if entry.is_open]


def transfers_of(world, operation):
    return [entry.transfer.id for entry in world.journal.values() if entry.transfer.operation is operation]


def breaks(error):
    def act():
        raise error

    return act
