"""What may befall registered rows at lab S ends on every server as docs/guard.md says, and what is not stopped is found."""

from __future__ import annotations

import os

import attacks
import pytest
from attack_list import SECTIONS

EVERY = os.environ.get("LINK_ATTACKS") == "all"


@pytest.fixture(scope="module")
def stage():
    stage = attacks.Stage()
    yield stage
    for scene in stage.scenes.values():
        scene.end()


@pytest.mark.parametrize(
    ("section", "product"), [(each, product) for each in SECTIONS for product in attacks.products_of(each)]
)
def test_attacks_end_as_the_page_says(section, product, stage):
    """Refused with which words, allowed, or not stopped and found by the doctor: one account a row of the page, or each."""
    by_name = {attack.name: attack for attack in SECTIONS[section]}
    differing = []
    for names, accounts, cells in attacks.documented(section):
        for attack in (by_name[name] for name in names if EVERY or not by_name[name].slow):
            for who in accounts if EVERY else accounts[:1]:
                outcome = str(stage.see(attack, who, product))
                if outcome != cells[product]:
                    differing.append((attack.name, who, outcome, cells[product]))
    assert not differing


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_every_attack(section):
    """No attack of the list by any account is left out of the page, and none is there twice."""
    told = [(name, who) for names, accounts, _ in attacks.documented(section) for name in names for who in accounts]
    assert sorted(told) == sorted((attack.name, who) for attack, who in attacks.runs(section))


def test_the_page_explains_its_words():
    """Every word of the tables stands in one of the two legends, with what `doctor` says as it says it."""
    page = attacks.PAGE.read_text()
    assert attacks.findings() in page
    explained = {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")}
    cells = [cell for section in SECTIONS for _, _, cells in attacks.documented(section) for cell in cells.values()]
    used = {part.split(": ")[-1] for cell in cells for part in cell.split(" → ")[0:1] if ": " in part}
    used |= {word for cell in cells if " → " in cell for word in cell.split(" → ")[1].split(", ")}
    assert used <= explained
