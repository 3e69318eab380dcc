"""Doctor names what is wrong, repair puts right what loses no row, and names the rest key by key."""

from __future__ import annotations

import copy
from contextlib import suppress
from itertools import count

import pytest

from link.adapters.in_memory import Death, Fault, Run
from link.domain.errors import LinkError
from link.domain.findings import BLOCKING, REMEDIES, Cure, Finding, Trouble, diagnose
from link.domain.states import State, classify, every_evidence
from link.domain.transfers import Operation, Transfer
from link.use_cases.delete import delete
from link.use_cases.doctor import doctor
from link.use_cases.inspection import Standing
from link.use_cases.pull import pull
from link.use_cases.repair import repair
from moments import KEYS, A, B, C, breaks, once, open_entries

SOUND = {
    State.ABSENT,
    State.IDLE,
    State.PULLING,
    State.PULLED,
    State.DELETION_REQUESTED,
    State.DELETING,
    State.DELETION_APPROVED,
}


def check(world, **options):
    run = Run(world)
    try:
        return doctor(run.premises(), run.ports, **options)
    finally:
        run.end()


def mend(world, confirm=lambda _: True, run=None, **options):
    run = run or Run(world)
    try:
        return repair(run.premises(), lambda: run.ports(chunk=2), confirm, **options)
    finally:
        run.end()


def left(result):
    return {key["key0"]: trouble for key, trouble in result.keys}


# ---- the table


@pytest.mark.parametrize("evidence", list(every_evidence()), ids=str)
def test_whatever_is_wrong_by_the_table_of_states_is_a_trouble(evidence):
    """No inconsistency and no state that waits for somebody goes without a name, and nothing else has one."""
    verdict = classify(evidence)
    assert (diagnose(evidence) is None) == (verdict in SOUND)


def test_every_trouble_has_a_remedy_and_somebody_to_do_it():
    """Each finding is either cured or left to a person who is told what to do, notes about one's own rows aside."""
    assert REMEDIES.keys() == set(Trouble)
    silent = [t for t, remedy in REMEDIES.items() if remedy.cure is Cure.LEAVE and not remedy.person]
    assert silent == [Trouble.OWN_ROW]
    assert all(REMEDIES[trouble].cure is Cure.LEAVE for trouble in BLOCKING)


# ---- doctor


def test_a_healthy_link_is_one_line(world):
    """Nothing found: one line with the counts of states."""
    pull(Run(world).ports(), [A, B])
    world.alive.clear()
    world.standing = Standing(lines=("source: in memory, not encrypted",))
    result = check(world)
    assert result.healthy
    assert str(result) == "healthy, 2 pulled (0.0 s); source: in memory, not encrypted" == repr(result)


def test_a_report_has_counts_keys_and_what_to_do(world):
    """The gravest comes first; each finding says how often, where, what repair does and what a person must do."""
    pull(Run(world).ports())
    world.alive.clear()
    world.lose(A)
    del world.outbound[B]
    result = check(world)
    lines = str(result).splitlines()
    assert lines[0].startswith("2 kinds of trouble, ")
    assert lines[1] == "  broken: 1 local and in the source, but not registered"
    assert lines[2].strip() == "(key0='b')"
    assert lines[3].strip() == "repair(): register it again, or settle its flags where it is not local"
    assert lines[4] == "   to do: 1 registered, but not local"
    assert lines[6].strip().startswith("you: pull() brings the row back")
    assert not result.healthy


def test_examples_are_few_and_the_count_is_right(world):
    """Thousands of keys are a number and a handful of examples."""
    for number in range(30):
        world.make_up((f"x{number:02}",), "v")
    (finding,) = check(world).findings
    assert (finding.trouble, finding.count, len(finding.keys)) == (Trouble.LOCAL_ALONE, 30, 5)
    assert "and 25 more" in str(check(world))


def test_rows_of_ones_own_are_a_note_where_they_are_allowed(world):
    """With allow_direct_insert a local row that the source never had is no trouble."""
    world.make_up(("mine",), "v")
    assert not check(world).healthy
    result = check(world, own_rows=True)
    assert (result.healthy, [finding.trouble for finding in result.findings]) == (True, [Trouble.OWN_ROW])


def test_without_tables_no_key_is_looked_at(world):
    """What the tables look like is told even where keys cannot be read."""
    world.standing = Standing(findings=(Finding(trouble=Trouble.OUTBOUND_TAKEN, detail="by x"),), readable=False)
    result = doctor(Run(world).premises(), breaks(AssertionError("ports were asked for")))
    assert "keys were not looked at" in str(result)
    assert "by x" in str(result)


def test_a_row_that_is_pulled_or_deleted_meanwhile_is_no_finding(world):
    """Between the looks at the two servers another run may pull and delete: what seems wrong is looked at twice."""
    pull(Run(world).ports(), [A])
    for step, act in (
        ("present", lambda: delete(Run(world).ports(), [A], lambda _: True) and None),
        ("evidence", lambda: pull(Run(world).ports()) and None),
        ("uneven", lambda: delete(Run(world).ports(), [B], lambda _: True) and None),
    ):
        once(world, step, act)
        assert check(world).healthy
    world.at_step = lambda _owner, _step: None


# ---- repair


def test_nothing_to_do_asks_nobody(world):
    """A healthy link is left alone, and so is one whose troubles are a person's."""
    pull(Run(world).ports())
    world.alive.clear()
    assert not mend(world, breaks(AssertionError("asked"))).confirmed
    world.lose(A)
    result = mend(world, breaks(AssertionError("asked")))
    assert (result.confirmed, left(result)) == (False, {"a": Trouble.LOST_LOCALLY})


def test_a_no_changes_nothing(world):
    """What would be done is shown first; a "no" leaves both servers as they are and names what is wrong."""
    pull(Run(world).ports())
    world.alive.clear()
    del world.outbound[A]
    before = copy.deepcopy((world.source, world.outbound, world.local, world.journal, world.decisions))
    shown = []
    result = mend(world, lambda report: shown.append(str(report)))
    assert "1 local and in the source, but not registered" in shown[0]
    assert (world.source, world.outbound, world.local, world.journal, world.decisions) == before
    assert (result.confirmed, left(result)) == (False, {"a": Trouble.LOCAL_UNREGISTERED})


def test_an_older_source_is_put_right_and_the_rest_is_named(world):
    """The source comes from a backup: registrations and rows are missing, released ones are back."""
    ports = Run(world).ports()
    pull(ports, [C])
    backup = copy.deepcopy((world.source, world.outbound, world.journal, world.requested, world.approved))
    world.insert(("new",), "v", "part")
    pull(ports)
    delete(ports, [C], lambda _: True)
    world.alive.clear()
    world.source, world.outbound, world.journal, world.requested, world.approved = backup
    found = check(world)
    assert {f.trouble for f in found.findings if f.keys} == {
        Trouble.LOCAL_UNREGISTERED, Trouble.LOCAL_ALONE, Trouble.LOST_LOCALLY,
    }  # fmt: skip
    assert Trouble.DECISION_UNKNOWN in {f.trouble for f in found.findings}
    result = mend(world)
    assert result.done["registered again"] == 2
    assert left(result) == {"new": Trouble.LOCAL_ALONE, "c": Trouble.LOST_LOCALLY}
    assert world.outbound.keys() == {A, B, C}
    assert mend(world, release_lost=True).done["released"] == 1
    assert world.local.keys() == {A, B, ("new",)}


def test_an_older_local_side_is_put_right(world):
    """The local side comes from a backup: deleted rows are back, approved ones among them, pulled ones are missing."""
    ports = Run(world).ports()
    pull(ports, [A, B])
    world.request(B)
    backup = copy.deepcopy((world.local, world.decisions, world.shown))
    delete(ports, [A, B], lambda _: True)
    pull(ports, [C])
    world.alive.clear()
    world.local, world.decisions, world.shown = backup
    result = mend(world)
    assert left(result) == {"c": Trouble.LOST_LOCALLY}
    assert result.done["registered again"] == 2
    assert (world.outbound.keys(), world.approved, world.shown) == ({A, B, C}, set(), {B})
    assert pull(Run(world).ports()).pulled == 1
    world.alive.clear()
    assert check(world).healthy


def test_local_rows_with_other_contents_are_left_to_a_person(world):
    """Only what is a copy of the source's row is registered as one."""
    world.make_up(A, "mine", "part")
    world.make_up(B, "v", "part")
    result = mend(world)
    assert (left(result), set(world.outbound), world.local[A]) == ({"a": Trouble.LOCAL_DIFFERS}, {B}, ("mine", "part"))


def test_rows_that_only_the_local_side_has_stay_registered(world):
    """A registered row that lab S has lost is kept on both servers, and named with both ways out."""
    pull(Run(world).ports())
    world.alive.clear()
    del world.source[A]
    del world.outbound[B]
    result = mend(world)
    assert (left(result), set(world.outbound)) == ({"a": Trouble.SOURCE_ROW_MISSING}, set(KEYS))
    assert "(key0='a') local and registered, but not in the source" in str(result)
    assert "lab S puts the row back" in str(result)


def test_flags_are_settled(world):
    """Flags without a registration: a request is answered, an approval taken back, what refers to nothing goes."""
    world.requested |= {A, ("gone",)}
    world.approved |= {B, ("gone",)}
    result = mend(world)
    assert (world.outbound.keys(), world.requested, world.approved) == ({A}, {A}, {A})
    assert result.done == {"approved": 1, "released": 1, "flags cleared away": 1}
    assert result.healthy


def test_interrupted_transfers_are_finished(world):
    """A transfer whose process is gone is finished or undone, and its rows with it."""
    Run(world).ports().outbound.register(Transfer(operation=Operation.PULL), [A], [])
    world.alive.clear()
    result = mend(world)
    assert (result.done, open_entries(world), world.outbound) == ({"interrupted transfers finished": 1}, [], {})
    assert str(result).startswith("repaired, 1 interrupted transfers finished")


def test_tables_guard_and_foreign_keys_are_mended_before_keys_are_looked_at(world):
    """Where outbound is gone, making it again comes first and registering the local rows next, in one call."""
    pull(Run(world).ports())
    world.alive.clear()
    world.outbound.clear()
    world.journal.clear()
    world.standing = Standing(findings=(Finding(trouble=Trouble.OUTBOUND_MISSING),), readable=False)
    result = mend(world)
    assert (world.outbound.keys(), left(result)) == (set(KEYS), {})


@pytest.mark.parametrize("trouble", sorted(BLOCKING, key=str), ids=lambda trouble: trouble.name)
def test_what_is_not_ones_own_is_not_written_to(world, trouble):
    """Where outbound serves somebody else, or an end is missing, nothing is done whatever else is found."""
    pull(Run(world).ports())
    world.alive.clear()
    del world.outbound[A]
    world.standing = Standing(findings=(Finding(trouble=trouble),))
    result = mend(world, breaks(AssertionError("asked")))
    assert (result.confirmed, A in world.outbound) == (False, False)


def test_what_has_changed_since_the_answer_is_looked_at_again(world):
    """A person may think for an hour: what is done then is what is right then."""
    pull(Run(world).ports())
    world.alive.clear()
    del world.outbound[A]

    def think(_report):
        delete(Run(world).ports(), [A], lambda _: True)
        world.alive.clear()
        return True

    result = mend(world, think)
    assert (A in world.outbound, A in world.local, left(result)) == (False, False, {})


def damaged(world):
    """Bring about every trouble that is cured key by key, and some that are not."""
    ports = Run(world).ports()
    for name in "defghijk":
        world.insert((name,), "v", "part")
    pull(ports)
    world.request(("d",))
    world.request(("e",))
    delete(ports, [("d",), ("e",)], lambda _: True)
    world.withdraw(("e",))
    del world.outbound[A]
    del world.source[B]
    world.lose(C)
    world.make_up(("d",), "v", "part")
    world.request(("f",))
    world.lose(("f",))
    world.outbound[("g",)].held = False
    world.lose(("h",))
    del world.source[("h",)]
    world.lose(("i",))
    world.outbound.pop(("i",))
    world.requested.add(("i",))
    world.requested.add(("nowhere",))
    ports.outbound.mark(Transfer(operation=Operation.DELETE), [("j",)])
    world.alive.clear()
    return world


def settled_by(world):
    return {
        key: diagnose(world.evidence(key)) for key in sorted(world.source.keys() | world.outbound.keys() | world.local.keys())
    }


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STALL], ids=lambda fault: fault.name)
def test_a_repair_may_die_at_any_step(world, fault):
    """Each fault at each step, one at a time: no local or source row is lost, and the next repair ends the work."""
    whole = copy.deepcopy(damaged(world))
    for step in count():
        world = copy.deepcopy(whole)
        world.standing = Standing()
        rows = dict(world.local), dict(world.source)
        taken = count()

        def at_step(_owner, name, taken=taken, step=step):
            due = next(taken) == step
            return fault if due and (fault not in {Fault.DELAY, Fault.DELAY_AND_DIE} or name.startswith("commit")) else None

        world.at_step = at_step
        with suppress(Death, LinkError):
            mend(world)
        done = next(taken) <= step
        world.at_step = lambda _owner, _step: None
        world.alive.clear()
        world.deliver()
        result = mend(world)
        assert (world.local, world.source) == rows
        assert left(result) == {"b": Trouble.SOURCE_ROW_MISSING, "c": Trouble.LOST_LOCALLY}
        assert {trouble for trouble in settled_by(world).values() if trouble} == {
            Trouble.SOURCE_ROW_MISSING,
            Trouble.LOST_LOCALLY,
        }
        assert (world.approved, open_entries(world)) == ({("f",), ("i",)}, [])
        if done:
            break
    assert step > 40
