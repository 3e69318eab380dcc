"""Ways to break the protocol; all of them have to be noticed.

A mutant of the use cases, the domain or the in-memory servers is looked for in memory: by the simulation, and if that sees
nothing by the tests of the use cases. A mutant of the SQL is looked for on real servers, by the tests that it names.
"""

from __future__ import annotations

from decisions import DECISIONS
from moves import MOVES
from statements import STATEMENTS

MUTANTS = [*DECISIONS, *MOVES, *STATEMENTS]
