"""Every kind of fault, and what is expected after it."""

from __future__ import annotations

import functools

import lab_s
import lines
import objects
import process
import refusals
import restarts
import sessions
from attrs import frozen
from stage import Stage
from states import OPERATIONS
from stored_stage import StoredStage


@frozen
class Kind:
    name: str
    run: object
    """Called with the stage, the operation and the number of a statement; returns whether the operation got that far."""
    on: str = "plain"
    """One of `STAGES`."""
    operations: tuple = tuple(OPERATIONS)
    by_state: bool = False
    """Whether only what the servers hold matters: then a point is each state of theirs, not each statement."""
    exactly: bool = True
    """Whether the next call has to end where a call without a fault would have; else it has to leave nothing to do."""


STAGES = {"plain": Stage, "proxied": functools.partial(Stage, proxied=True), "stored": StoredStage}
STORED = {"on": "stored", "operations": ("pull", "delete", "recovery")}

KINDS = [
    Kind("the process is killed (kill -9) before a statement", process.kill_before),
    Kind("the process is killed while a statement is under way", process.kill_while_sent),
    Kind("the source's server ends its session", sessions.kill_source),
    Kind("the local server ends its session", sessions.kill_local),
    Kind("both servers end their sessions", sessions.kill_both),
    Kind("the line is cut", lines.cut, on="proxied"),
    Kind("the line falls silent, the server sees it go down (half-open)", lines.half_open, on="proxied"),
    Kind("a reply is lost and the line with it", lines.lose_reply, on="proxied"),
    Kind("a reply is lost and the line falls silent", lines.lose_reply_silently, on="proxied"),
    Kind("the line stalls for longer than the timeout, then all arrives", lines.stall, on="proxied"),
    Kind("the source's server is stopped (immediate) and started", restarts.source, by_state=True),
    Kind("the local server is stopped (immediate) and started", restarts.local, by_state=True),
    Kind("the source's server is down until the call has ended", restarts.source_down, by_state=True),
    Kind("the local server is down until the call has ended", restarts.local_down, by_state=True),
    Kind("somebody holds locks on outbound and the journal", refusals.source_locked),
    Kind("somebody holds locks on the local table and the decisions", refusals.local_locked),
    Kind("deadlocks with somebody at the source", refusals.source_deadlock),
    Kind("deadlocks with somebody on the local server", refusals.local_deadlock),
    Kind("its source session is gone; another process recovers, lab S deletes", sessions.recover_meanwhile, exactly=False),
    Kind("it looks dead; another process pulls and deletes", sessions.another_call, exactly=False),
    Kind("lab S deletes, with the registration", lab_s.deletes, exactly=False),
    Kind("lab S deletes, in SQL", lab_s.deletes_plainly, exactly=False),
    Kind("lab S updates rows and renames keys", lab_s.updates, exactly=False),
    Kind("lab S truncates", lab_s.truncates, exactly=False),
    Kind("lab S requests and withdraws", lab_s.changes_its_mind, exactly=False),
    Kind("lab S takes approvals back", lab_s.takes_approvals_back, exactly=False),
    Kind("with objects: the process is killed before a statement or what it does to a file", objects.killed, **STORED),
    Kind("with objects: the process is killed in the middle of one", objects.killed_in_the_middle, **STORED),
    Kind("with objects: both servers end their sessions", objects.sessions_ended, **STORED),
    Kind("with objects: garbage collections on both sides", objects.collected, **STORED),
    Kind("with objects: the store has no room", objects.no_room, on="stored", operations=("pull",)),
]
