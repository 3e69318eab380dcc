"""Twenty thousand composite keys in a restriction, in a pull and in a delete."""

from __future__ import annotations

import time

import datajoint as dj
import pytest
from servers import Product

PAIRS = [(product, product) for product in Product]
MANY = 20_000


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].value, indirect=True)
def test_twenty_thousand_composite_keys(lab_s, lab_l, connect, link):
    """A list of 20,000 keys selects exactly those rows in a pull and in a delete, whose dependents go too."""
    schema = dj.Schema(lab_s.source_schema, connection=connect(lab_s, lab_s.owner))

    class Item(dj.Manual):
        definition = """
        subject : varchar(16)
        session : int32
        ---
        number : int64
        """

    schema(Item, context={})
    rows = [{"subject": f"mouse {n % 10}", "session": n // 10, "number": n} for n in range(MANY + 1_000)]
    Item.insert(rows)
    session = link(lab_s, lab_l, type("Item", (), {}))
    keys = [{"subject": row["subject"], "session": row["session"]} for row in rows[:MANY]]
    start = time.monotonic()
    assert session.pull(keys).pulled == MANY
    assert session.pull(keys).already_local == MANY
    assert len(session & keys) == MANY
    assert session.pull().pulled == 1_000
    result = (session & keys).delete()
    assert (int(result), result.released, len(session())) == (MANY, MANY, 1_000)
    assert lab_s.count("item_outbound", lab_s.outbound_schema) == 1_000
    print(f"{time.monotonic() - start:.1f} s")
