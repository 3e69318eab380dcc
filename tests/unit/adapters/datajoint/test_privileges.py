"""What `python -m link grants` prints: names filled in, and the same as in README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from link.__main__ import main
from link.adapters.datajoint import privileges
from link.adapters.datajoint.privileges import Names, Product

README = (Path(__file__).parents[4] / "README.md").read_text()


@pytest.mark.parametrize("product", [Product.POSTGRESQL, Product.MYSQL])
def test_the_readme_shows_what_the_command_prints(product):
    """Every statement that sets something up is in README.md, with the command's own names."""
    names = Names()
    sections = [privileges.lab_s(product, names), privileges.members(product, names), privileges.lab_l(product, names)]
    for statement in (statement for section in sections for statement in section.statements):
        assert str(statement) in README.splitlines() or any(
            line.startswith(f"{statement}  --") for line in README.splitlines()
        )


def test_names_are_filled_in(monkeypatch, capsys):
    """No default name is left where all are given, names that need it are quoted, and ones with quotes refused."""
    given = {
        name: f"A {name}" for name in ("source-schema", "outbound-schema", "local-schema", "link-user", "member", "local-user")
    }
    arguments = [text for name, value in given.items() for text in (f"--{name}", value)]
    monkeypatch.setattr("sys.argv", ["link", "grants", "mysql", "postgresql", *arguments, "--table", "#task"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "GRANT SELECT, DELETE ON `A outbound-schema`.task_outbound TO `A member`;" in printed
    assert 'CREATE SCHEMA "A local-schema" AUTHORIZATION "A local-user";' in printed
    defaults = Names()
    assert not [name for name in (defaults.link_user, defaults.member, defaults.local_user, "session") if name in printed]
    monkeypatch.setattr("sys.argv", ["link", "grants", "mysql", "--link-user", "o'hara"])
    with pytest.raises(SystemExit):
        main()
    assert "has a quote in it" in capsys.readouterr().err
