"""The command line: `python -m link`."""

from __future__ import annotations

import argparse
import sys

from link.domain.errors import LinkError
from link.infrastructure.grants_command import add_arguments, grants


def main() -> int:
    """Run a command and return its exit code: 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m link", description="Link DataJoint tables on different servers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="two private PostgreSQL servers, and the life of a linked table from pull to drop")
    add_arguments(commands.add_parser("grants", help="the least that each account needs, as SQL for the admins of both labs"))
    checked = commands.add_parser("doctor", help="check a link, read-only; exits with 1 where something is wrong")
    verified = commands.add_parser(
        "verify", help="check the stored objects of local rows; exits with 1 where something is wrong"
    )
    verified.add_argument("--deep", action="store_true", help="read them all and compare contents, not sizes alone")
    for command in (checked, verified):
        command.add_argument("table", metavar="MODULE:CLASS", help="the linked class, and the module to import it from")
    given = parser.parse_args()
    try:
        if given.command == "grants":
            return _print_grants(parser, given)
        if given.command == "demo":
            return _demo()
        return (
            _checked(given.table, "doctor") if given.command == "doctor" else _checked(given.table, "verify", deep=given.deep)
        )
    except LinkError as error:
        print(f"The {given.command} cannot run: {error}", file=sys.stderr)
        return 1


def _print_grants(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        print(grants(arguments))
    except ValueError as error:
        parser.error(str(error))
    return 0


def _demo() -> int:
    from link.infrastructure.demo import demo  # noqa: PLC0415 - it needs an extra

    demo()
    return 0


def _checked(table: str, check: str, **options: bool) -> int:
    from link.infrastructure.naming import linked_class  # noqa: PLC0415 - it imports DataJoint

    try:
        result = getattr(linked_class(table)(), check)(**options)
    except LinkError:
        raise
    except Exception as error:  # noqa: BLE001 - the module's own, drivers', settings': a nightly job's mail says which in a line
        print(f"The {check} cannot run: {type(error).__name__}: {str(error).strip()}", file=sys.stderr)
        return 1
    print(result)
    return 0 if result.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
