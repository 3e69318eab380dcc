"""`python -m link grants`: the SQL that the admins of both labs run, with the names filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from link.adapters.datajoint.privileges import Names, Product, sections

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

HELPS = {
    "source_schema": "lab S's schema",
    "outbound_schema": "the schema for outbound, LINK_OUTBOUND",
    "local_schema": "lab L's schema",
    "link_user": "the account that lab L gets on lab S's server, LINK_USER",
    "owner": "who declares lab S's tables (PostgreSQL)",
    "member": "one of lab S's users, or a role of theirs (MySQL, MariaDB)",
    "local_user": "the account on lab L's server",
    "table": "the source table, as the server names it",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the command takes: the two servers' products, and the names."""
    products = [product.value for product in Product]
    parser.add_argument("source", choices=products, help="lab S's server")
    parser.add_argument("local", choices=products, nargs="?", help="lab L's server, if another product")
    for field in attrs.fields(Names):
        parser.add_argument(f"--{field.name.replace('_', '-')}", default=field.default, help=HELPS[field.name])


def grants(arguments: Namespace) -> str:
    """Return the text to print; raise `ValueError` for a name with a quote in it."""
    names = Names(**{field.name: getattr(arguments, field.name) for field in attrs.fields(Names)})
    source = Product(arguments.source)
    return "\n".join(_lines(source, Product(arguments.local or arguments.source), names))


def _lines(source: Product, local: Product, names: Names) -> Iterator[str]:
    for section in sections(source, local, names):
        yield from (f"-- {line}" for line in section.title.split("\n"))
        for statement in section.statements:
            yield f"{statement}{f'  -- {statement.note}' if statement.note else ''}"
        yield ""
