"""The in-memory adapter passes the contract of all adapters."""

from __future__ import annotations

import pytest

import contract
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
