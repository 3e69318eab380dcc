"""The in-memory adapter passes the contract of all adapters."""

from __future__ import annotations

import pytest

import contract
import damage
from link.adapters.in_memory import Run, World


class MemoryBench:
    def __init__(self):
        self.world = World()

    def insert(self, *keys):
        for key in keys:
            self.world.insert(key, "value", "part")

    def request(self, *keys):
        for key in keys:
            self.world.request(key)

    def withdraw(self, *keys):
        for key in keys:
            self.world.withdraw(key)

    def delete_at_source(self, key):
        self.world.delete(key)

    def lose(self, *keys):
        for key in keys:
            self.world.lose(key)

    def forget(self, *keys, keep_flags=False):
        for key in keys:
            self.world.outbound.pop(key, None)
            if not keep_flags:
                self.world.requested.discard(key)
                self.world.approved.discard(key)

    def remove_at_source(self, key):
        del self.world.source[key]

    def unhold(self, key):
        self.world.outbound[key].held = False

    def drop_part(self, key):
        self.world.local[key] = self.world.local[key][:1]

    def drop_master(self, key):
        self.world.lose(key)
        self.world.lone_parts.add(key)

    def copy_by_hand(self, key, differing=False):
        self.world.make_up(key, "other" if differing else "value", "part")

    def forget_decisions(self):
        self.world.decisions.clear()

    def forget_journal(self):
        self.world.journal.clear()

    def ports(self):
        return Run(self.world).ports()

    def end(self, ports):
        self.world.alive.discard(ports.owner)

    def chosen(self, *keys):
        return keys

    chosen_locally = chosen

    def source(self):
        return set(self.world.source)

    def registered(self):
        return set(self.world.outbound)

    def local(self):
        return set(self.world.local)

    def approved(self):
        return set(self.world.approved)

    def requested(self):
        return set(self.world.requested)

    def shown(self):
        return set(self.world.shown)


class TestInMemory(contract.Contract):
    @pytest.fixture
    def bench(self):
        return MemoryBench()


class TestInMemoryDamage(damage.Damage):
    @pytest.fixture
    def bench(self):
        return MemoryBench()
