"""What happens to a process, its sessions, its stores and its objects while it moves rows that name objects."""

from __future__ import annotations

import errno

import process
import sessions
from hooks import FILES, at_statements
from sessions import Owner


def killed(stage, call, at):
    return process.kill_before(stage, call, at)


def killed_in_the_middle(stage, call, at):
    return process.kill_while_sent(stage, call, at)


def sessions_ended(stage, call, at):
    return sessions.kill_both(stage, call, at)


def no_room(stage, call, at):
    """Let the store refuse number `at` of what is done to its files."""
    count = 0

    def before(_connection, statement):
        nonlocal count
        count += statement in FILES
        if count == at and statement in FILES:
            raise OSError(errno.ENOSPC, "No space left on device")

    with at_statements(before, lambda _connection, statement: stage.look_after(statement)):
        stage.attempt(call)
    return count >= at


def collected(stage, call, at):
    """Let whole garbage collections of both sides run in between."""
    return Owner(stage).run(call, at, stage.collect)
