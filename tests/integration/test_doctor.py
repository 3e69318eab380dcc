"""Doctor and repair on real servers: what is found, and what becomes of it."""

from __future__ import annotations

import pipeline
import pytest


@pytest.fixture
def labs(lab_s, lab_l, connect, link):
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    session = link(lab_s, lab_l)
    session.pull({"subject": "m0"})
    lab_s.befriend()
    return lab_s, lab_l, session


def test_a_healthy_link_is_one_line(labs):
    lab_s, lab_l, session = labs
    r = session().doctor()
    print(r)
    assert r.healthy
