"""Purge a person: ``python -m flows.people --help``."""

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from flows._shared.errors import PlatformError
from flows.people.operations import purge_person
from flows.people.settings import Named

EXAMPLES = """examples:
  python -m flows.people purge --email jane@example.org --login jane-doe
  python -m flows.people purge --email jane@example.org --login jane-doe --really
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.people",
        description="Lets a person be known by a pseudonym alone; counts alone without --really.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("purge",))
    parser.add_argument("--email", action="append", default=[], help="an address they sign with")
    parser.add_argument("--login", action="append", default=[], help="a login, or a developer's id")
    parser.add_argument("--name", action="append", default=[], help="first and last name")
    parser.add_argument("--really", action="store_true", help="purge; it cannot be undone")
    options = parser.parse_args(arguments)
    # dbt writes the command line of its process beside its results.
    del sys.argv[1:]
    try:
        person = Named(
            emails=tuple(options.email), logins=tuple(options.login), names=tuple(options.name)
        )
        rows = purge_person(person, dry_run=not options.really)
    except ValidationError as error:
        for each in error.errors(include_input=False):
            sys.stderr.write(f"{'.'.join(map(str, each['loc']))}: {each['msg']}\n")
        return 2
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for place, count in rows.items():
        sys.stdout.write(f"{count}\t{place}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
