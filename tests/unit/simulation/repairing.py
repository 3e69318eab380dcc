"""The simulation with damage and repairers: backups restored on either side, SQL past the guard, and repairs meanwhile.

`uv run python tests/unit/simulation/repairing.py SEED [STEPS]` replays, without a seed it searches.

Damage breaks the promise for some keys, and for those it is not asked for until they are sound again and the runs that the damage
has met are over: what those do next rests on what is not so any more.
What is always asked: no step of Link's takes a registration away under a local row, repair takes no local row and no source row
away, and no request disappears by Link's doing while its row is in the source. At the end a repair has put everything right or
has named it.
"""

from __future__ import annotations

import sys
from copy import deepcopy

from attrs import evolve
from simulation import EXPLAINED, KEYS, WRITES, Actor, Linked, Simulation

from link.adapters.in_memory import Run
from link.adapters.in_memory.inspector import InMemoryPremises
from link.domain.errors import IncompleteCopy, InconsistentState, KeyConflict
from link.domain.findings import REMEDIES, Cure, Trouble, diagnose
from link.domain.states import State, classify
from link.use_cases.pull import pull
from link.use_cases.repair import repair

TO_PERSONS = {trouble for trouble, remedy in REMEDIES.items() if remedy.cure is Cure.LEAVE}


class Damaged(Linked):
    """A link whose labs also do what breaks the promise."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.damaged = {}
        """For which keys the promise is not asked at present, each with the runs that were under way when it was damaged."""
        self.local_backup = None

    def damage(self, *keys):
        under_way = {actor for actor in self.simulation.actors if actor.step not in {"start", "between runs"}}
        self.damaged.update({key: under_way | self.damaged.get(key, set()) for key in keys})

    def look_again(self, stopped):
        """Ask again for keys that are sound, once all is over that the damage has met."""
        for runs in self.damaged.values():
            runs.discard(stopped)
        if not self.world.delayed:
            self.damaged = {key: runs for key, runs in self.damaged.items() if runs or not self._is_sound(key)}

    def _is_sound(self, key):
        verdict = classify(self.world.evidence(key))
        held = key not in self.world.outbound or self.world.outbound[key].held or key in self.world.approved
        return held and isinstance(verdict, State) and (verdict is not State.LOCAL_ONLY or key in self.made_up)

    def move(self):
        if self.random.random() > 0.025:
            return super().move()
        moves = [self._delete_past_the_guard, self._forget, self._flag, self._unhold]
        move = self.random.choice([*moves, *moves, self._back_up_or_restore_locally])
        whole = sorted(self.world.local.keys() & self.world.outbound.keys())
        key = self.random.choice(whole if whole and self.random.random() < 0.8 else self.keys)
        move(key)
        self.damage(key)
        return f"{move.__name__.strip('_').replace('_', ' ')} {key[0]}"

    def _update(self, key):
        if self.random.random() < 0.1:  # a changed row is not taken for the source of its copy any more
            super()._update(key)

    def restore(self, backup):
        super().restore(backup)
        self.damage(*self.keys)

    def _back_up_or_restore_locally(self, _key):
        world = self.world
        if self.local_backup is None:
            self.local_backup = deepcopy((world.local, world.shown, world.decisions))
            return
        world.local, world.shown, world.decisions = self.local_backup
        self.local_backup = None
        world.delayed.clear()
        self.damage(*self.keys)

    def _delete_past_the_guard(self, key):
        self.world.source.pop(key, None)

    def _forget(self, key):
        if self.random.random() < 0.5:
            self.world.requested.discard(key)
            self.world.approved.discard(key)
        self.world.outbound.pop(key, None)

    def _flag(self, key):
        flags = self.random.choice((self.world.requested, self.world.approved))
        flags ^= {key}

    def _unhold(self, key):
        if key in self.world.outbound:
            self.world.outbound[key].held = False

    def problem(self, *, restored):
        world, excused = self.world, self.damaged.keys()
        self.strays &= world.local.keys()
        self.made_up = {key for key in self.made_up if world.local.get(key) == ("mine",)}
        if orphans := world.outbound.keys() - world.source.keys() - excused:
            return f"registered without source: {sorted(orphans)}"
        if lonely := world.local.keys() - world.outbound.keys() - self.made_up - excused:
            return f"local without registration: {sorted(lonely)}"
        states = {key: classify(world.evidence(key)) for key in self.keys if key not in excused}
        wrong = {key: state.value for key, state in states.items() if not isinstance(state, State)}
        return f"inconsistent: {wrong}" if wrong else None

    def unsettled(self, *, restored):
        """Say what is neither right nor named once everybody is dead and one more repair has run."""
        self.world.alive.clear()
        self.world.delayed.clear()
        rows = dict(self.world.local), dict(self.world.source)
        result = self._repaired()
        if (self.world.local, self.world.source) != rows:
            return "repair took rows away"
        named = {(key["key0"],): trouble for key, trouble in result.keys}
        if curable := {key: trouble for key, trouble in named.items() if trouble not in TO_PERSONS}:
            return f"left though it could be cured: {curable}"
        if wrong := {key: diagnose(self.world.evidence(key)) for key in self.keys if not self._is_named(key, named)}:
            return f"neither right nor named: {wrong}"
        pull(Run(self.world).ports(link=self.name))
        self.world.alive.clear()
        self._repaired(release_lost=True)
        lost = [key for key in self.keys if classify(self.world.evidence(key)) is State.LOST_LOCALLY]
        return f"stuck: {lost}" if lost else None

    def _repaired(self, **options):
        run = Run(self.world)
        result = repair(run.premises(), lambda: run.ports(link=self.name), lambda _: True, **options)
        run.end()
        return result

    def _is_named(self, key, named):
        trouble = diagnose(self.world.evidence(key))
        return trouble is None or named.get(key) in {trouble, Trouble.LOCAL_DIFFERS}


class Mender(Actor):
    """A repairer: it looks for long before it does anything, so that most of the faults while it looks are left out."""

    def pause(self, step):
        fault = super().pause(step)
        return fault if self.writes() or self.simulation.random.random() < 0.1 else None

    def writes(self):
        return self.step.startswith((*WRITES, "reinstate", "drop"))


class Repairing(Simulation):
    """Two repairers among the others; every third seed also restores lab S from a backup."""

    def __init__(self, seed, steps):
        super().__init__(seed, steps)
        self.links = [Damaged(self, "link", self.journal, KEYS, by_hand=seed % 2 == 1)]
        self.explained = (*EXPLAINED, KeyConflict, InconsistentState, IncompleteCopy)
        self.actors = [actor for linked in self.links for actor in self._actors(linked)]
        self.by_thread = {actor.thread: actor for actor in self.actors}

    def _actors(self, linked):
        if not isinstance(linked, Damaged):
            return []

        def mend(ports):
            premises, ports = InMemoryPremises(linked.world, ports.owner), evolve(ports, chunk=10)
            no = self.random.random() < 0.05
            repair(premises, lambda: ports, lambda _: not no, release_lost=self.random.random() < 0.7)

        others = [actor for actor in super()._actors(linked) if not actor.name.startswith("deleter 2")]
        return [*others, *(Mender(self, f"repairer {number}", linked, mend) for number in range(3))]

    def _may_sleep(self, actor):
        """Hold repairers up before most of what they write, and the others between runs: so each finds work of the other's."""
        super()._may_sleep(actor)
        mends = isinstance(actor, Mender)
        if (actor.writes() and self.random.random() < 0.8) if mends else actor.step == "between runs":
            actor.asleep = len(self.history) + self.random.choice((60, 120, 300) if mends else (20, 60, 120))

    def _let_go(self, actor):
        world, linked = actor.linked.world, actor.linked
        rows = set(world.local), set(world.source)
        asked, strays = (world.requested & world.source.keys()) - linked.damaged.keys(), set(linked.strays)
        linked.strays |= linked.damaged.keys()
        super()._let_go(actor)
        linked.strays = strays
        if isinstance(actor, Mender) and (rows[0] - world.local.keys() or rows[1] - world.source.keys()):
            self._fail_if(f"{actor.name} took rows away")
        if gone := asked - world.requested:
            self._fail_if(f"{actor.name} made requests disappear: {sorted(gone)}")
        if actor.step == "between runs":
            for each in self.links:
                each.look_again(actor)


if __name__ == "__main__":
    seeds = [int(sys.argv[1])] if len(sys.argv) > 1 else range(1_000_000)
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000
    for number in seeds:
        Repairing(number, steps).run()
        print(f"seed {number}: {steps} steps, no violation", flush=True)
