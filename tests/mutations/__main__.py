"""`uv run python tests/mutations [WORD …]`: break the protocol in every known way, or in those whose names have a word.

What notices each is kept in results.json; the table in docs/reliability.md is written once every mutant is noticed. Ends with 1
where one of those tried was not.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from hunt import noticed
from mutants import MUTANTS

import report

RESULTS = Path(__file__).parent / "results.json"


def main(words):
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    results = json.loads(RESULTS.read_text()) if words and RESULTS.exists() else {}
    for mutant in chosen:
        start = time.monotonic()
        results[mutant.name] = noticed(mutant)
        print(f"{mutant.name}: {results[mutant.name] or 'NOT NOTICED'} ({time.monotonic() - start:.0f} s)", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    missed = [mutant.name for mutant in chosen if results[mutant.name] is None]
    print(f"{len(chosen)} mutants, {len(missed)} not noticed {missed or ''}")
    rows = [[mutant.name, mutant.why, f"{results.get(mutant.name) or ''}".replace("|", "\\|")] for mutant in MUTANTS]
    if all(found for *_, found in rows):
        report.write("mutations", report.table(["mutation", "why it is wrong", "noticed by"], rows))
    return bool(missed)


sys.exit(main(sys.argv[1:]))
