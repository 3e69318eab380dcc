"""The command line: `python -m link demo`."""

from __future__ import annotations

import argparse
import sys

from link.domain.errors import LinkError


def main() -> int:
    """Run a command and return its exit code: 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m link", description="Link DataJoint tables on different servers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="two private PostgreSQL servers, and the life of a linked table from pull to drop")
    parser.parse_args()
    from link.infrastructure.demo import demo  # noqa: PLC0415 - it needs an extra

    try:
        demo()
    except LinkError as error:
        print(f"The demo cannot run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
