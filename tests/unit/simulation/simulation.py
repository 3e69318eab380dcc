"""Several actors over the in-memory servers, interleaved at every step of a port by a seeded scheduler.

Each run of a use case is a thread that waits at every step until the scheduler lets it go on, so that one seed is one
history. Faults: connections lost before a step, replies lost after it, COMMITs that arrive late or never or hang in the
middle, deaths, and runs that look dead while they live. After every step the promise is checked; an operation may fail only
with an error that something in its history explains. In every other seed lab L also inserts rows by hand.
"""

from __future__ import annotations

import random
import threading
from uuid import UUID

from link.adapters.in_memory import Death, Fault, GuardRefused, Run, World
from link.domain.errors import Busy, ConnectionLost, KeyConflict, OutcomeUnknown, RemovalChanged, TransferAbandoned
from link.domain.states import Inconsistency, State, classify
from link.use_cases.delete import delete
from link.use_cases.pull import pull
from link.use_cases.recovery import recover
from link.use_cases.refresh import refresh

KEYS = [(name,) for name in "abcd"]
RATE = 0.04
"""How often a step is faulted."""
WRITES = ("register", "mark", "commit", "give up", "close", "release")
EXPLAINED = (ConnectionLost, OutcomeUnknown, TransferAbandoned, Busy, RemovalChanged)
"""What a fault, another run or a row that came back explains; any other error is a violation."""


class Over(BaseException):
    """Ends the actors when the simulation does."""


class Violation(AssertionError):
    """The promise does not hold."""


class Actor(threading.Thread):
    def __init__(self, simulation, name, work):
        super().__init__(name=name, daemon=True)
        self.simulation, self.work = simulation, work
        self.go, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.fault, self.step = None, "start"
        self.error = None

    def run(self):
        self.go.acquire()
        try:
            while True:
                self._once()
        except Over:
            pass
        except BaseException as error:  # noqa: BLE001 - reported by the scheduler
            self.error = error
        self.stopped.release()

    def _once(self):
        run = Run(self.simulation.world, UUID(int=self.simulation.random.getrandbits(128)))
        try:
            self.work(run.ports(chunk=2, memory=self.simulation.memory))
        except self.simulation.explained:
            pass
        finally:
            run.end()
        self.pause("between runs")

    def pause(self, step):
        self.step = step
        self.stopped.release()
        self.go.acquire()
        if self.simulation.over:
            raise Over
        return self.fault


class Simulation:
    def __init__(self, seed, steps):
        self.random, self.seed, self.steps = random.Random(seed), seed, steps
        self.world = World(at_step=self._at_step)
        self.memory = self.random.choice((1, 2))
        self.world.unfit = {self.random.choice(KEYS)} if seed % 3 == 0 else set()
        self.over = False
        self.history = []
        self.by_hand = seed % 2 == 1
        self.explained = (*EXPLAINED, Death, KeyConflict) if self.by_hand else (*EXPLAINED, Death)
        self.made_up = set()
        self.asleep = {}
        chosen = self._some
        self.actors = [
            Actor(self, "puller 1", lambda ports: pull(ports)),
            Actor(self, "puller 2", lambda ports: pull(ports, chosen())),
            Actor(self, "deleter 1", lambda ports: delete(ports, chosen(), lambda _: True)),
            Actor(self, "deleter 2", lambda ports: delete(ports, chosen(), lambda _: self.random.random() < 0.8)),
            Actor(self, "refresher", lambda ports: refresh(ports)),
        ]

    def _some(self):
        return [key for key in KEYS if self.random.random() < 0.5]

    def _at_step(self, owner, step):
        actor = threading.current_thread()
        return actor.pause(step) if isinstance(actor, Actor) else None

    def run(self):
        for actor in self.actors:
            actor.start()
        try:
            for _ in range(self.steps):
                self._turn()
                self._check()
        finally:
            self.over = True
            for actor in self.actors:
                actor.go.release()
            for actor in self.actors:
                actor.join()
        self._settle()
        return self.steps

    def _turn(self):
        if self.random.random() < 0.75:
            awake = [actor for actor in self.actors if self.asleep.get(actor, 0) <= len(self.history)]
            self._let_go(self.random.choice(awake or self.actors))
        else:
            self._outside()

    def _may_sleep(self, actor):
        """Hold an actor up before a step that writes, for so long that the others can finish whole operations."""
        if actor.step.startswith(WRITES) and self.random.random() < 0.25:
            self.asleep[actor] = len(self.history) + self.random.choice((20, 60, 120))

    def _let_go(self, actor):
        draw = self.random.random()
        rate = RATE * 6 if actor.step.startswith("commit") else RATE
        actor.fault = self.random.choice(list(Fault)) if draw < rate else None
        if actor.fault in {Fault.DELAY, Fault.DELAY_AND_DIE} and not actor.step.startswith("commit"):
            actor.fault = None
        self.history.append(f"{actor.name}: {actor.step}{f' ({actor.fault.name})' if actor.fault else ''}")
        actor.go.release()
        actor.stopped.acquire()
        if actor.error is not None:
            self._fail(f"{actor.name} failed with {actor.error!r}: {actor.error}")
        self._may_sleep(actor)

    def _outside(self):
        key, world = self.random.choice(KEYS), self.world
        moves = {
            "S inserts": lambda: world.insert(key, "v", "part"),
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
        self.history.append(f"{name} {key[0]}")
        try:
            moves[name]()
        except GuardRefused:
            self.history[-1] += ": refused"

    def _make_up(self, key):
        if key not in self.world.outbound and key not in self.world.local:
            self.world.make_up(key, "mine")
            self.made_up.add(key)

    def _check(self):
        self.made_up = {key for key in self.made_up if self.world.local.get(key) == ("mine",)}
        if self.world.outbound.keys() - self.world.source.keys():
            self._fail("a registration without source")
        if lonely := self.world.local.keys() - self.world.outbound.keys() - self.made_up:
            self._fail(f"local without registration: {lonely}")
        for key in KEYS:
            state = classify(self.world.evidence(key))
            if isinstance(state, Inconsistency):
                self._fail(f"{key} is {state.value}")

    def _fail(self, problem):
        recent = "\n  ".join(self.history[-40:])
        raise Violation(f"seed {self.seed}, step {len(self.history)}: {problem}\n  {recent}")

    def _settle(self):
        """Everybody is dead: one more recovery and pull settle every entity."""
        self.world.alive.clear()
        self.world.delayed.clear()
        self.world.at_step = lambda _owner, _step: None
        ports = Run(self.world).ports()
        recover(ports)
        refresh(ports)
        pull(ports)
        self._check()
        settled = {State.ABSENT, State.PULLED, State.DELETION_REQUESTED, State.DELETION_APPROVED}
        for key in KEYS:
            state = classify(self.world.evidence(key))
            if state is State.IDLE and key in self.world.unfit:
                continue
            if state not in settled and not (state is State.LOCAL_ONLY and key in self.made_up):
                self._fail(f"{key} is stuck: {state}")
        if any(entry.is_open for entry in self.world.journal.values()):
            self._fail("a transfer is open for ever")
