"""`uv run python tests/mutations [WORD …]`: break the protocol in every known way, or in those whose names have a word.

Without words it writes the table into docs/reliability.md. Ends with 1 where a mutant was not noticed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from hunt import noticed
from mutants import MUTANTS

import report

words = sys.argv[1:]
chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
rows, missed = [], []
for mutant in chosen:
    start = time.monotonic()
    found = noticed(mutant)
    print(f"{mutant.name}: {found or 'NOT NOTICED'} ({time.monotonic() - start:.0f} s)", flush=True)
    rows.append([mutant.name, mutant.why, f"{found}".replace("|", "\\|")])
    if found is None:
        missed.append(mutant.name)
print(f"{len(chosen)} mutants, {len(missed)} not noticed {missed or ''}")
if not words and not missed:
    report.write("mutations", report.table(["mutation", "why it is wrong", "noticed by"], rows))
sys.exit(bool(missed))
