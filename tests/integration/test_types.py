"""Every column type on every pair: exact, converted as docs/types.md says, or refused by name."""

from __future__ import annotations

import types_table


def test_every_type_arrives_or_is_refused_as_the_docs_say(pair, connect, link, request):
    """Each value of each type is equal on both servers or named with key and column, and docs/types.md says which."""
    found = types_table.observe(pair, connect, link)
    observed = getattr(request.config, "types_observed", None)
    if observed is not None:
        observed[pair] = found
        return
    assert found == types_table.documented(pair)
