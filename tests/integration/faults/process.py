"""`kill -9` of the process before each statement, and just after the statement was sent."""

from __future__ import annotations

import os
import signal
import time
import warnings

from attrs import define
from hooks import at_statements

SENT = 0.0004
"""How long after a statement was let go the process dies, in seconds: the server has it, the process has no reply."""


@define
class Child:
    """A process that stops before every statement and asks its parent whether it may go on."""

    pid: int
    asks: int
    answers: int

    def stopped(self):
        """Wait until it is stopped; False where it has ended."""
        return bool(os.read(self.asks, 1))

    def go(self):
        os.write(self.answers, b".")

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def end(self):
        os.waitpid(self.pid, 0)
        os.close(self.asks)
        os.close(self.answers)


def fork(call):
    """Run `call` in a copy of this process, warm and with connections of its own."""
    asks, ask = os.pipe()
    answer, answers = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of threads; the child uses none of them
        pid = os.fork()
    if pid == 0:
        try:
            with at_statements(lambda *_: (os.write(ask, b"."), os.read(answer, 1))):
                call()
        finally:
            os._exit(0)
    os.close(ask)
    os.close(answer)
    return Child(pid, asks, answers)


def kill_before(stage, call, at):
    """Kill the process before its statement number `at`; return whether there was one."""
    return _killed(stage, call, at, lambda _child: None)


def kill_while_sent(stage, call, at):
    """Kill the process when its statement number `at` is under way."""

    def let_go(child):
        child.go()
        time.sleep(SENT)

    return _killed(stage, call, at, let_go)


def _killed(stage, call, at, last):
    child = fork(call)
    for number in range(1, at + 1):
        if not child.stopped():
            child.end()
            return False
        if number < at:
            child.go()
    stage.look()
    last(child)
    child.kill()
    child.end()
    return True
