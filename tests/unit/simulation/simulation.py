"""Several actors over the in-memory servers, interleaved at every step of a port by a seeded scheduler.

Each run of a use case is a greenlet that waits at every step until the scheduler lets it go on, so that one seed is one
history. Faults: connections lost before a step, replies lost after it, COMMITs that arrive late or never or hang in the
middle, deaths, and runs that look dead while they live. After every step the promise is checked; an operation may fail only
with an error that something in its history explains.

What the seeds have beside the two labs' ordinary days: every second one has rows that lab L inserts by hand, every third one a
server of lab S that is restored from a backup, every fourth one a second link that shares the journal.
"""

from __future__ import annotations

import random
from copy import deepcopy
from uuid import UUID

from greenlet import getcurrent, greenlet

from link.adapters.in_memory import Death, Fault, GuardRefused, Run, World
from link.domain.errors import (
    Busy,
    ConnectionLost,
    IncompleteCopy,
    InconsistentState,
    KeyConflict,
    OutcomeUnknown,
    RemovalChanged,
    TransferAbandoned,
)
from link.domain.states import Inconsistency, State, classify
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from link.use_cases.recovery import recover
from link.use_cases.refresh import refresh

KEYS = [(name,) for name in "abcd"]
RATE = 0.04
"""How often a step is faulted."""
WRITES = ("register", "mark", "commit", "give up", "close", "release")
EXPLAINED = (Death, ConnectionLost, OutcomeUnknown, TransferAbandoned, Busy, RemovalChanged)
"""What a fault, another run or a row that came back explains; any other error is a violation."""
SETTLED = {State.ABSENT, State.PULLED, State.DELETION_REQUESTED, State.DELETION_APPROVED}


class Violation(AssertionError):
    """The promise does not hold."""


class Linked:
    """One link: its two labs, what they do without Link, and what has to hold."""

    def __init__(self, simulation, name, journal, keys, *, by_hand):
        self.simulation, self.random, self.name, self.keys = simulation, simulation.random, name, keys
        self.world = World(at_step=simulation.at_step, journal=journal)
        self.world.unfit = {self.random.choice(keys)} if simulation.seed % 5 == 0 else set()
        self.world.without_objects = {self.random.choice(keys)} if simulation.seed % 7 == 0 else set()
        self.by_hand, self.made_up = by_hand, set()
        self.strays = set()
        """Committed locally by a run whose registration a restored backup of lab S does not know."""

    def some(self):
        return [key for key in self.keys if self.random.random() < 0.5]

    def left_out(self):
        return self.world.unfit | self.world.without_objects

    def backup(self):
        world = self.world
        return deepcopy((world.source, world.outbound, world.requested, world.approved))

    def restore(self, backup):
        world = self.world
        world.source, world.outbound, world.requested, world.approved = deepcopy(backup)
        world.delayed.clear()

    def move(self):
        """Let one of the labs do something; return what it was."""
        key, world = self.random.choice(self.keys), self.world
        moves = {
            "S inserts": lambda: world.insert(key, "0", "0"),
            "S updates": lambda: self._update(key),
            "S requests": lambda: world.request(key),
            "S withdraws": lambda: world.withdraw(key),
            "S deletes": lambda: world.delete(key),
            "a late COMMIT arrives": world.deliver,
            "a late COMMIT is lost": lambda: world.delayed and world.delayed.pop(),
            "a run looks dead": lambda: world.alive and world.alive.discard(self.random.choice(sorted(world.alive))),
        }
        if self.random.random() < 0.15:
            moves = {"L removes a row by hand": lambda: world.lose(key)}
        elif self.by_hand and self.random.random() < 0.1:
            moves = {"L inserts a row by hand": lambda: self._make_up(key)}
        name = self.random.choice(list(moves))
        try:
            moves[name]()
        except GuardRefused:
            return f"{name} {key[0]}: refused"
        return f"{name} {key[0]}"

    def _update(self, key):
        version = str(self.random.getrandbits(16))
        self.world.update(key, version, version)

    def _make_up(self, key):
        if key not in self.world.outbound and key not in self.world.local:
            self.world.make_up(key, "mine")
            self.made_up.add(key)

    def problem(self, *, restored):
        """Say what does not hold; after lab S was restored from a backup, local rows may be unknown to it."""
        world = self.world
        if orphans := world.outbound.keys() - world.source.keys():
            return f"registered without source: {sorted(orphans)}"
        if torn := [key for key, row in world.local.items() if len(set(row)) != 1]:
            return f"masters and parts of two versions: {torn}"
        self.strays &= world.local.keys()
        self.made_up = {key for key in self.made_up if world.local.get(key) == ("mine",)}
        if undecided := {entry for entry in world.journal if self._is_closed(entry)} - world.decisions.keys():
            return f"closed without a decision: {undecided}"
        if restored:
            return None
        if lonely := world.local.keys() - world.outbound.keys() - self.made_up:
            return f"local without registration: {sorted(lonely)}"
        states = {key: classify(world.evidence(key)) for key in self.keys}
        wrong = {key: state.value for key, state in states.items() if isinstance(state, Inconsistency)}
        return f"inconsistent: {wrong}" if wrong else None

    def _is_closed(self, transfer):
        entry = self.world.journal[transfer]
        return entry.link == self.name and not entry.is_open

    def unsettled(self, *, restored):
        """Say which entities are stuck, once everybody is dead and one more recovery, refresh and pull have run."""
        self.world.alive.clear()
        self.world.delayed.clear()
        ports = Run(self.world).ports(link=self.name)
        recover(ports)
        refresh(ports)
        pull(ports)
        allowed = {*SETTLED, State.LOCAL_ONLY, Inconsistency.APPROVED_BUT_LOCAL} if restored else SETTLED
        stuck = {key: state for key in self.keys if (state := classify(self.world.evidence(key))) not in allowed}
        stuck = {key: state for key, state in stuck.items() if not (state is State.LOCAL_ONLY and key in self.made_up)}
        stuck = {key: state for key, state in stuck.items() if not (state in UNFIT and key in self.left_out())}
        return f"stuck: {stuck}" if stuck else None


UNFIT = {State.IDLE, State.LOST_LOCALLY}
"""Where an entity stays that the local server cannot hold, or whose objects are missing."""


class Actor:
    """A process that calls a use case again and again, and waits before every step of a port."""

    def __init__(self, simulation, name, linked, work):
        self.simulation, self.name, self.linked, self.work = simulation, name, linked, work
        self.step, self.fault, self.asleep, self.stale = "start", None, 0, False
        self.thread = greenlet(self._forever)

    def _forever(self):
        while True:
            self.stale = False
            run = Run(self.linked.world, UUID(int=self.simulation.random.getrandbits(128)))
            try:
                self.work(run.ports(chunk=2, memory=self.simulation.memory, link=self.linked.name))
            except self.simulation.explained:
                pass
            finally:
                run.end()
            self.pause("between runs")

    def pause(self, step):
        self.step = step
        self.simulation.scheduler.switch()
        return self.fault


class Simulation:
    def __init__(self, seed, steps):
        self.random, self.seed, self.steps = random.Random(seed), seed, steps
        self.memory = self.random.choice((1, 2))
        self.history, self.journal = [], {}
        by_hand, self.restores, shared = seed % 2 == 1, seed % 3 == 2, seed % 4 == 0
        self.backup, self.restored = None, False
        self.links = [Linked(self, "link", self.journal, KEYS, by_hand=by_hand)]
        if shared:
            self.links.append(Linked(self, "another", self.journal, KEYS[:2], by_hand=False))
        self.explained = EXPLAINED
        if by_hand or self.restores:
            self.explained += (KeyConflict, *((InconsistentState, IncompleteCopy) if self.restores else ()))
        self.actors = [actor for linked in self.links for actor in self._actors(linked)]
        self.by_thread = {actor.thread: actor for actor in self.actors}

    def _actors(self, linked):
        works = {
            "puller 1": lambda ports: pull(ports),
            "puller 2": lambda ports: pull(ports, linked.some()),
            "deleter 1": lambda ports: delete(ports, linked.some(), lambda _: True),
            "deleter 2": lambda ports: delete(ports, linked.some(), lambda _: self.random.random() < 0.8),
            "refresher": lambda ports: refresh(ports),
        }
        return [Actor(self, f"{name} of {linked.name}", linked, work) for name, work in works.items()]

    def at_step(self, _owner, step):
        actor = self.by_thread.get(getcurrent())
        return actor.pause(step) if actor else None

    def run(self):
        self.scheduler = getcurrent()
        for actor in self.actors:
            actor.thread.parent = self.scheduler
        try:
            for _ in range(self.steps):
                self._turn()
                for linked in self.links:
                    self._fail_if(linked.problem(restored=self.restored))
        finally:
            for actor in self.actors:
                actor.thread.throw()
        for linked in self.links:
            self._fail_if(linked.unsettled(restored=self.restored))
            self._fail_if(linked.problem(restored=self.restored))
        if any(entry.is_open for entry in self.journal.values()):
            self._fail_if("a transfer is open for ever")
        return self.steps

    def _turn(self):
        if self.random.random() < 0.75:
            awake = [actor for actor in self.actors if actor.asleep <= len(self.history)]
            self._let_go(self.random.choice(awake or self.actors))
        elif self.restores and self.random.random() < 0.01:
            self._back_up_or_restore()
        else:
            linked = self.random.choice(self.links)
            self.history.append(f"{linked.move()} ({linked.name})")

    def _back_up_or_restore(self):
        if self.backup is None:
            self.history.append("S makes a backup")
            self.backup = [linked.backup() for linked in self.links], deepcopy(self.journal)
            return
        self.history.append("S is restored from its backup")
        self.restored = True
        backups, journal = self.backup
        for linked, backup in zip(self.links, backups, strict=True):
            linked.restore(backup)
        for actor in self.actors:
            actor.stale = actor.step != "between runs"
        self.journal.clear()
        self.journal.update(deepcopy(journal))
        self.backup = None

    def _let_go(self, actor):
        """Let an actor take one step, and look that it took nothing that is not its own."""
        draw = self.random.random()
        rate = RATE * 6 if actor.step.startswith("commit") else RATE
        fault = self.random.choice(list(Fault)) if draw < rate else None
        late = fault in {Fault.DELAY, Fault.DELAY_AND_DIE}
        actor.fault = None if late and not actor.step.startswith("commit") else fault
        self.history.append(f"{actor.name}: {actor.step}{f' ({actor.fault.name})' if actor.fault else ''}")
        world, registered, held = actor.linked.world, set(actor.linked.world.outbound), set(actor.linked.world.local)
        others = [entry for entry in self.journal.values() if entry.is_open and entry.link != actor.linked.name]
        try:
            actor.thread.switch()
        except Exception as error:  # noqa: BLE001 - whatever an operation raises that nothing explains
            self._fail_if(f"{actor.name} failed with {error!r}: {error}")
        if actor.stale:
            actor.linked.strays |= world.local.keys() - held
        if taken := (registered - world.outbound.keys()) & world.local.keys() - actor.linked.strays:
            self._fail_if(f"a registration taken away under a local row: {sorted(taken)}")
        if not all(entry.is_open for entry in others):
            self._fail_if("a transfer of another link closed")
        self._may_sleep(actor)

    def _may_sleep(self, actor):
        """Hold an actor up before a step that writes, for so long that the others can finish whole operations."""
        if actor.step.startswith(WRITES) and self.random.random() < 0.25:
            actor.asleep = len(self.history) + self.random.choice((20, 60, 120))

    def _fail_if(self, problem):
        if problem:
            recent = "\n  ".join(self.history[-40:])
            replay = f"uv run python tests/unit/simulation {self.seed} {self.steps}"
            raise Violation(f"seed {self.seed}, step {len(self.history)}: {problem}\n  {recent}\nreplay: {replay}")
