"""Lets every attack of `attack_list.py` happen on every product, and writes what came of it into docs/guard.md.

`uv run python tests/integration/attacks.py` writes the page's tables anew; `test_attacks.py` holds them to the servers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import datajoint as dj
import servers
from attack_list import ALL, MIXED, SECTIONS
from attack_scene import MIXES, Scene
from attrs import define, field, frozen
from servers import Product

from link.domain.errors import LinkError, LoginFailed, SchemaMissing
from link.domain.findings import REMEDIES, Cure, Trouble, Weight

PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
SHOWN = {Product.POSTGRESQL: "PostgreSQL", Product.MARIADB: "MariaDB", Product.MYSQL: "MySQL"}
NOT_THERE = "\N{EN DASH}"
SHORT = {"everyone": ALL} | {f"{rights}/any": tuple(f"{rights}/{flags}" for flags in MIXES) for rights in MIXES}
"""Several accounts in a word."""

WORDS = {
    "in use": r"in use by \S+ on \S+ \(Link\)",
    "blocked": r"Delete blocked by",
    "unreadable": r"for update in FROM clause|missing foreign key information|'groupdict'",
    "unseen": r"is not defined\.$",
    "foreign key": r"foreign key constraint fails|violates foreign key constraint",
    "depended on": r"depends? on it|Cannot (drop|truncate)|cannot truncate|needed in a foreign key|errno: 150",
    "no right": r"denied|must be owner|Check permissions|attempt to drop a part",
    "no such user": r"specified as a definer",
    "no REPLACE": r'syntax error at or near "REPLACE"',
}
"""The kinds of refusals, and what tells each by the words that an attacker reads."""

FINDINGS = {
    Trouble.SOURCE_ROW_MISSING: "source row gone",
    Trouble.LOCAL_ALONE: "row and registration gone",
    Trouble.LOCAL_UNREGISTERED: "not registered",
    Trouble.UNHELD: "not held",
    Trouble.APPROVED_BUT_LOCAL: "approved but local",
    Trouble.PARTS_LEFT_OVER: "parts differ",
    Trouble.DECLARATION_CHANGED: "declaration",
    Trouble.SOURCE_TABLE_MISSING: "no source table",
    Trouble.OUTBOUND_MISSING: "no outbound",
    Trouble.GUARD: "guard",
    Trouble.FOREIGN_KEY: "foreign key",
    Trouble.JOURNAL: "journal",
    Trouble.GRANT_TOO_WIDE: "too wide",
}
"""What the tables call a finding of the doctor's."""
ERRORS = {LoginFailed: "no login", SchemaMissing: "no schema"}
"""What they call an error that the doctor ends with."""
THEN = {
    LoginFailed: "an admin makes the account again, as `python -m link grants` prints it",
    SchemaMissing: "an admin makes the schema again, as `python -m link grants` prints it; then `repair()`",
}


@frozen
class Outcome:
    """What came of an attack; `said` has the attacker's words, with the documentation's names in them."""

    kind: str
    word: str = ""
    findings: tuple = ()
    said: str = ""

    def __str__(self):
        told = f"{self.kind}: {self.word}" if self.word else self.kind
        return f"{told} → {', '.join(self.findings)}" if self.findings else told


@define
class Stage:
    """Keeps a scene of each product for the next attack, unless the last one has changed it."""

    scenes: dict = field(factory=dict)

    def see(self, attack, who, product):
        """Let an account try, and return what came of it."""
        if product not in attack.products:
            return Outcome(NOT_THERE)
        place = product, attack.told
        scene = self.scenes.pop(place, None) or Scene(product, told=attack.told)
        error = None
        try:
            attack.act(scene, who)
        except Exception as caught:  # noqa: BLE001 - each server says it in its own words
            error = caught
        now = scene.seen()
        outcome = judge(scene, error, now)
        scene.close()
        if who in MIXED:
            scene.forget(who)
        if now == scene.before:
            self.scenes[place] = scene
        else:
            scene.end()
        return outcome


def judge(scene, error, now):
    """Say what came of it; whatever is not stopped, the doctor has to find."""
    said, kept = (words(scene, error) if error is not None else ""), scene.is_kept()
    word = kind_of(said) if said else ""
    if kept and now == scene.before:
        return Outcome("refused", word, said=said) if word else Outcome("nothing happens")
    findings, is_broken = diagnosed(scene)
    if not kept:
        assert is_broken, f"the doctor has not found it: {findings}"
        return Outcome("**not stopped**", findings=findings)
    refused = "refused halfway" if scene.is_harmed(now) else "refused"
    return Outcome(refused if word else "allowed", word, findings, said)


def diagnosed(scene):
    """Return what the doctor finds, and whether it says that the promise is broken, or cannot even look."""
    scene.session.connection.dependencies.clear()
    try:
        found = {finding.trouble for finding in scene.session().doctor().findings}
    except LinkError as error:
        return (ERRORS[type(error)],), True
    weights = {REMEDIES[trouble].weight for trouble in found}
    told = tuple(FINDINGS[trouble] for trouble in Trouble if trouble in found and REMEDIES[trouble].weight is not Weight.NOTE)
    return told, Weight.BROKEN in weights


# ---- words


def words(scene, error):
    """Return the line that an attacker reads."""
    texts = [str(argument) for argument in error.args] or [str(error)]
    text = " ".join(texts) if isinstance(error, dj.errors.DataJointError) else texts[-1]
    lines = text.strip().split("\n")
    line = lines[-1] if "Traceback" in text else lines[0]
    line = re.sub(r"^pymysql.err.\w+: ", "", line)
    line = re.sub(r"^[\w.]+Error: |^\(\d+, ['\"]|['\"]\)$|^\('|['\"], .*$", "", line)
    return " ".join(scene.plainly(line.replace("`", "").replace("|", "/")).split())


def kind_of(said):
    for word, pattern in WORDS.items():
        if re.search(pattern, said):
            return word
    message = f"a refusal that docs/guard.md knows no word for: {said}"
    raise AssertionError(message)


CUT = (
    r" \((?=link_outbound|source_schema).*",
    r"\b[A-Z]+(?= command denied)",
    r"(?<=denied) .*",
    r"(?<=owner of) .*",
    r"(?<=[Cc]annot drop) .*(?= because| referenced)",
    r"(?<=referenced by a foreign key constraint) .*",
    r"(?<=^Error on rename of) .*(?= \(errno)",
)
"""What of the words differs from table to table."""


def legend(outcomes):
    """List what is read with each word, and the products that say so."""
    texts = {}
    for (_, _, _, product), outcome in outcomes.items():
        if outcome.word:
            text = " ".join(re.sub("|".join(CUT), " …", outcome.said).split())
            texts.setdefault((outcome.word, text), {})[SHOWN[product]] = True
    lines = []
    for word in WORDS:
        told = [f"“{text}” ({', '.join(by)})" for (key, text), by in texts.items() if key == word]
        lines.append(f"| {word} | {'<br>'.join(told)} |")
    return "\n".join(["| refused: | what is read |", "|---|---|", *lines])


def findings():
    """List what the doctor says with each of the tables' words, and what then."""
    lines = ["| → | `doctor` says | then |", "|---|---|---|"]
    for trouble, word in FINDINGS.items():
        remedy = REMEDIES[trouble]
        steps = [f"`repair()`: {remedy.cure.value}"] if remedy.cure is not Cure.LEAVE else []
        lines.append(f"| {word} | {trouble.value} | {'; '.join([*steps, *([remedy.person] if remedy.person else [])])} |")
    lines += [f"| {word} | an error: `{kind.__name__}` | {THEN[kind]} |" for kind, word in ERRORS.items()]
    return "\n".join(lines)


# ---- the page


def products_of(section):
    return [product for product in Product if any(product in attack.products for attack in SECTIONS[section])]


def runs(section):
    """Return every attack of a section by everyone who tries it."""
    return [(attack, who) for attack in SECTIONS[section] for who in attack.who]


def rows(section, outcomes):
    """Return the rows of a section: (names, accounts, cells), those with equal cells together."""
    merged = []
    for attack in SECTIONS[section]:
        by_cells = {}
        for who in attack.who:
            cells = tuple(str(outcomes[section, attack.name, who, product]) for product in products_of(section))
            by_cells.setdefault(cells, []).append(who)
        found = [(tuple(who), cells) for cells, who in by_cells.items()]
        if merged and merged[-1][1] == found:
            merged[-1][0].append(attack.name)
        else:
            merged.append(([attack.name], found))
    return [(names, who, cells) for names, found in merged for who, cells in found]


def shortened(who):
    """Return the accounts with a word for those that have one together."""
    told, left = [], list(who)
    for word, accounts in SHORT.items():
        if set(accounts) <= set(left):
            told.append(word)
            left = [account for account in left if account not in accounts]
    return [*told, *left]


def table(section, outcomes):
    by = "rights on outbound / on its flags" if SECTIONS[section][0].who is MIXED else "by"
    head = ["", by, *(SHOWN[product] for product in products_of(section))]
    lines = [f"### {section}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for names, who, cells in rows(section, outcomes):
        lines.append(f"| {'<br>'.join(names)} | {', '.join(shortened(who))} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def documented(section):
    """Return the rows of a section as docs/guard.md has them: (names, accounts, words by product)."""
    text = PAGE.read_text().split(f"### {section}\n")[1].split("\n#")[0].split("<!--")[0]
    found = []
    for line in [line for line in text.splitlines() if line.startswith("| ")][1:]:
        names, who, *cells = line[2:-2].split(" | ")
        accounts = [account for told in who.split(", ") for account in SHORT.get(told, (told,))]
        found.append((names.split("<br>"), accounts, dict(zip(products_of(section), cells, strict=True))))
    return found


def write(outcomes):
    """Put tables and legends where they belong in docs/guard.md."""
    made = {"tables": "\n".join(table(section, outcomes) for section in SECTIONS)}
    made |= {"words": legend(outcomes), "findings": findings()}
    page = PAGE.read_text()
    for name, text in made.items():
        begin, end = f"<!-- {name}, made by tests/integration/attacks.py -->", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"
    PAGE.write_text(page)


def main():
    stage, outcomes = Stage(), {}
    for section in SECTIONS:
        for attack, who in runs(section):
            for product in products_of(section):
                outcome = stage.see(attack, who, product)
                outcomes[section, attack.name, who, product] = outcome
                print(section, attack.name, who, product.value, outcome, outcome.said, sep=" | ", flush=True)
    write(outcomes)
    servers.remove_all()


if __name__ == "__main__":
    sys.exit(main())
