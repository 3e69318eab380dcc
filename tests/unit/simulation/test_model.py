"""hypothesis looks for a history in which Link and a small model of its contract disagree, and shortens it."""

from __future__ import annotations

from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from link.adapters.in_memory import Death, Fault, GuardRefused, Run, World
from link.domain.errors import LinkError
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from link.use_cases.refresh import refresh

KEYS = [(name,) for name in "abcde"]
keys, some = st.sampled_from(KEYS), st.lists(st.sampled_from(KEYS), unique=True)
faults = st.none() | st.tuples(st.integers(1, 40), st.sampled_from(Fault))
sizes = st.integers(1, 3)


class Labs(RuleBasedStateMachine):
    """The model is five sets of keys. It knows no transfers, no decisions and no faults: they must make no difference."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.source, self.registered, self.local, self.requested, self.approved = set(), set(), set(), set(), set()

    # ---- the labs

    @rule(key=keys)
    def insert(self, key):
        self.world.insert(key, "v", "v")
        self.source.add(key)

    @rule(key=keys)
    def request(self, key):
        self._guarded(self.world.request, key, allowed=key in self.registered)
        if key in self.registered:
            self.requested.add(key)

    @rule(key=keys)
    def withdraw(self, key):
        self.world.withdraw(key)
        self.requested.discard(key)

    @rule(key=keys)
    def delete_at_source(self, key):
        allowed = key not in self.registered or key in self.approved
        self._guarded(self.world.delete, key, allowed=allowed)
        if allowed:
            for keys_ in (self.source, self.registered, self.requested, self.approved):
                keys_.discard(key)

    @rule(key=keys)
    def lose(self, key):
        self.world.lose(key)
        self.local.discard(key)

    def _guarded(self, move, key, *, allowed):
        try:
            move(key)
        except GuardRefused:
            assert not allowed
        else:
            assert allowed

    # ---- Link

    @rule(chosen=st.none() | some, size=sizes, fault=faults)
    def pull(self, chosen, size, fault):
        self._call(lambda ports: pull(ports, chosen), size, fault)
        wanted = self.source & set(KEYS if chosen is None else chosen)
        released = wanted & (self.approved - self.requested)
        self.approved -= released
        self.approved |= wanted & self.registered & self.requested - self.local
        self.local |= wanted - self.approved
        self.registered |= wanted

    @rule(chosen=some, size=sizes, fault=faults)
    def delete(self, chosen, size, fault):
        self._call(lambda ports: delete(ports, chosen, lambda _: True), size, fault)
        gone = self.local & set(chosen)
        self.local -= gone
        self.approved |= gone & self.requested
        self.registered -= gone - self.requested

    @rule(size=sizes, fault=faults)
    def refresh(self, size, fault):
        self._call(refresh, size, fault)
        released = self.approved - self.requested
        self.registered -= released
        self.approved -= released
        self.approved |= self.requested - self.local
        assert self.world.shown == self.requested & self.local

    def _call(self, operation, size, fault):
        """Call it with a fault, and then again without one: that must be as good as one call without a fault."""
        if fault is not None:
            self._faulted(operation, size, *fault)
        operation(Run(self.world).ports(chunk=size, memory=size))
        self.world.alive.clear()
        assert not any(entry.is_open for entry in self.world.journal.values())

    def _faulted(self, operation, size, at, kind):
        steps = count(1)
        late = kind in {Fault.DELAY, Fault.DELAY_AND_DIE}
        self.world.at_step = lambda _, step: kind if next(steps) == at and (not late or step.startswith("commit")) else None
        try:
            operation(Run(self.world).ports(chunk=size, memory=size))
        except (LinkError, Death):
            pass
        finally:
            self.world.at_step = lambda _owner, _step: None
            self.world.alive.clear()
        assert self.world.violations() == []
        self.world.deliver()

    # ---- what has to hold

    @invariant()
    def both_say_the_same(self):
        world = self.world
        assert world.source.keys() == self.source
        assert world.outbound.keys() == self.registered
        assert world.local.keys() == self.local
        assert (world.requested, world.approved) == (self.requested, self.approved)
        assert self.local <= self.registered <= self.source


TestLabs = Labs.TestCase
TestLabs.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
