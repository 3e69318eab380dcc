"""Every kind of fault, and what is expected after it."""

from __future__ import annotations

import lab_s
import process
import sessions
from attrs import frozen


@frozen
class Kind:
    name: str
    run: object
    """Called with the stage, the operation and the number of a statement; returns whether the operation got that far."""
    exactly: bool = True
    """Whether the next call has to end where a call without a fault would have; else it has to leave nothing to do."""


KINDS = [
    Kind("the process is killed (kill -9) before a statement", process.kill_before),
    Kind("the process is killed while a statement is under way", process.kill_while_sent),
    Kind("the source's server ends its session", sessions.kill_source),
    Kind("the local server ends its session", sessions.kill_local),
    Kind("both servers end their sessions", sessions.kill_both),
    Kind("its source session is gone; another process recovers, lab S deletes", sessions.recover_meanwhile, False),
    Kind("it looks dead; another process pulls and deletes", sessions.another_call, False),
    Kind("lab S deletes, with the registration", lab_s.deletes, False),
    Kind("lab S deletes, in SQL", lab_s.deletes_plainly, False),
    Kind("lab S updates rows and renames keys", lab_s.updates, False),
    Kind("lab S truncates", lab_s.truncates, False),
    Kind("lab S requests and withdraws", lab_s.changes_its_mind, False),
    Kind("lab S takes approvals back", lab_s.takes_approvals_back, False),
]
