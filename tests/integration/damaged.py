"""What the tests of doctor and repair share: pairs, a link with ten rows pulled, and the words for what is seen and done."""

from __future__ import annotations

import datajoint as dj
import pipeline
import pytest
from servers import Product

EACH = [(Product.POSTGRESQL, Product.MYSQL), (Product.MYSQL, Product.MARIADB), (Product.MARIADB, Product.POSTGRESQL)]
each = pytest.mark.parametrize("pair", EACH, ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)
one = pytest.mark.parametrize("pair", EACH[:1], ids=lambda pair: f"{pair[0].value}-to-{pair[1].value}", indirect=True)
"""Enough for what is the same code on every product."""
M0 = {("m0", number) for number in range(10)}


def ten_pulled(lab_s, lab_l, connect, link):
    """Return two labs with a pipeline at S of 30 sessions and its link at L, ten of them pulled."""
    pipeline.declare(connect(lab_s, lab_s.owner), lab_s.source_schema)
    pipeline.fill(lab_s)
    session = link(lab_s, lab_l)
    session.pull({"subject": "m0"})
    lab_s.befriend()
    return lab_s, lab_l, session


def keys(server, table):
    return {tuple(row) for row in server.admin_query(f"SELECT subject, session FROM {table}")}


def sides(lab_s, lab_l):
    """Return the keys of local, outbound and source."""
    registered = keys(lab_s.server, lab_s.outbound("session_outbound"))
    return keys(lab_l.server, lab_l.table("session")), registered, keys(lab_s.server, lab_s.table("session"))


def troubles(result):
    """Return what is found, notes aside."""
    return {finding.trouble: finding.count for finding in result.findings if finding.remedy.weight.value != "note"}


def left(result):
    return {(key["subject"], int(key["session"])): trouble for key, trouble in result.keys}


def request(lab_s, *numbers):
    flags = lab_s.outbound("session_outbound__deletion_requested")
    for number in numbers:
        lab_s.server.query(lab_s.owner, f"INSERT INTO {flags} (subject, session) VALUES ('m0', {number})")


def delete_locally(session, *numbers):
    return (session & [{"subject": "m0", "session": number} for number in numbers]).delete(prompt=False)


def try_to_delete(lab_s, connect):
    """Have lab S's owner try to delete a registered row with DataJoint."""
    module = dj.VirtualModule("lab", lab_s.source_schema, connection=connect(lab_s, lab_s.owner))
    return (module.Session & {"subject": "m0", "session": 1}).delete()
