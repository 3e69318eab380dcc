"""Every kind of fault, and what is expected after it."""

from __future__ import annotations

import lab_s
import lines
import process
import refusals
import restarts
import sessions
from attrs import frozen


@frozen
class Kind:
    name: str
    run: object
    """Called with the stage, the operation and the number of a statement; returns whether the operation got that far."""
    proxied: bool = False
    by_state: bool = False
    """Whether only what the servers hold matters: then a point is each state of theirs, not each statement."""
    exactly: bool = True
    """Whether the next call has to end where a call without a fault would have; else it has to leave nothing to do."""


KINDS = [
    Kind("the process is killed (kill -9) before a statement", process.kill_before),
    Kind("the process is killed while a statement is under way", process.kill_while_sent),
    Kind("the source's server ends its session", sessions.kill_source),
    Kind("the local server ends its session", sessions.kill_local),
    Kind("both servers end their sessions", sessions.kill_both),
    Kind("the line is cut", lines.cut, proxied=True),
    Kind("the line falls silent, the server sees it go down (half-open)", lines.half_open, proxied=True),
    Kind("a reply is lost and the line with it", lines.lose_reply, proxied=True),
    Kind("a reply is lost and the line falls silent", lines.lose_reply_silently, proxied=True),
    Kind("the line stalls for longer than the timeout, then all arrives", lines.stall, proxied=True),
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
]
