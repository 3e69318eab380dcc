"""Goes through the fault points of all kinds on real servers and writes the table of docs/reliability.md.

usage: uv run python tests/integration/faults [--pairs postgresql-to-mariadb,…] [--kinds lines,sessions,…] [--step N] [--add] [--results FILE]

`--kinds` takes names of the modules here or of their functions, and "storm"; `--step` every how manieth statement is a point (one), `--add`
keeps what FILE has already. Ends with 1 where there was a violation.
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import sys
import time
import warnings
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path(__file__).parents[:3]]
import servers
from kinds import KINDS, STAGES
from points import explore
from servers import Product
from stage import Stage
from storm import storm
from watch import Violation

import report
from link import errors

CALLS = 10
"""How many calls each process of lab L makes in a storm."""
PAIRS = "postgresql-to-mariadb,mariadb-to-mysql,mysql-to-postgresql"
RESULTS = Path(__file__).parent / "results.json"
"""What the table is made of: by kind and pair the numbers of points, violations and looks."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--storms", type=int, default=10, help="how many seeds of everybody at once")
    options = parser.parse_args()
    logging.getLogger("datajoint").setLevel("ERROR")
    warnings.simplefilter("ignore")
    words = [word for word in options.kinds.split(",") if word]
    kinds = [kind for kind in KINDS if not words or {kind.run.__name__, kind.run.__module__} & {*words}]
    found = json.loads(options.results.read_text()) if options.add and options.results.exists() else {}
    violations = 0
    for pair in options.pairs.split(","):
        for name in STAGES:
            violations += explored(pair, [kind for kind in kinds if kind.on == name], options, found)
        violations += weathered(pair, options, found) if not words or "storm" in words else 0
    servers.remove_all()
    return violations


def explored(pair, kinds, options, found):
    """Explore kinds on a pair, and write the table after each; return the number of violations."""
    if not kinds:
        return 0
    stage = STAGES[kinds[0].on](tuple(Product(name) for name in pair.split("-to-")))
    violations = 0
    for kind in kinds:
        start, looks, points, told = time.monotonic(), stage.observed, 0, []
        for operation in kind.operations:
            tally = explore(stage, kind, operation, step=options.step)
            points, told = points + tally.points, told + tally.violations
        seconds = time.monotonic() - start
        print(f"{pair}: {kind.name}: {points} points, {len(told)} violations, {seconds:.0f} s", flush=True)
        numbers = {"points": points, "violations": len(told), "looks": stage.observed - looks, "step": options.step}
        found.setdefault(kind.run.__name__, {})[pair] = numbers
        violations += len(told)
        write(found, options)
    stage.close()
    return violations


def weathered(pair, options, found):
    """Let everybody work at once, seed after seed; return the number of violations."""
    stage = Stage(tuple(Product(name) for name in pair.split("-to-")))
    total, looks, bad = collections.Counter(), 0, []
    for seed in range(options.storms):
        stage.restore("pull")
        try:
            told, seen = storm(stage, seed, CALLS)
        except (Violation, errors.LinkError) as problem:
            bad.append(f"seed {seed}: {problem}")
            continue
        total, looks = total + told, looks + seen
        bad += [text for text in told if text.startswith("UNEXPECTED")]
    stage.close()
    print(
        f"{pair}: storms: {total.total()} calls, {looks} looks, violations: {bad}; {dict(sorted(total.items()))}", flush=True
    )
    found.setdefault("storm", {})[pair] = {
        "seeds": options.storms,
        "calls": total.total(),
        "looks": looks,
        "violations": len(bad),
    }
    write(found, options)
    return len(bad)


def write(found, options):
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    report.write("faults", table(found))
    rows = [[pair, *(f"{value:,}" for value in each.values())] for pair, each in found.get("storm", {}).items()]
    report.write("storms", report.table(["pair of servers", "seeds", "calls", "looks at both servers", "violations"], rows))


def table(found):
    rows, sums = [], {"points": 0, "violations": 0, "looks": 0}
    for kind in KINDS:
        pairs = found.get(kind.run.__name__, {})
        if not pairs:
            continue
        total = {name: sum(each[name] for each in pairs.values()) for name in sums}
        sums = {name: sums[name] + total[name] for name in sums}
        where = ", ".join(f"{pair}{_share(each['step'])}" for pair, each in pairs.items())
        rows.append([kind.name, where, f"{total['points']:,}", total["violations"], f"{total['looks']:,}"])
    rows.append(["**all**", "", f"**{sums['points']:,}**", f"**{sums['violations']}**", f"**{sums['looks']:,}**"])
    return report.table(["what happens", "pairs of servers", "points", "violations", "looks at both servers"], rows)


def _share(step):
    return "" if step == 1 else f" (1 in {step})"


if __name__ == "__main__":
    sys.exit(bool(main()))
