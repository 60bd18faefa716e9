"""Repositories and their schedule: ``python -m flows.github_scraper --help``."""

import argparse
import sys
from collections.abc import Sequence

from flows._shared.errors import PlatformError
from flows.github_scraper.flow import change
from flows.github_scraper.settings import GithubScraperSettings

EXAMPLES = """examples:
  python -m flows.github_scraper list
  python -m flows.github_scraper retire https://github.com/owner/name --reason "moved to owner/new"
  python -m flows.github_scraper resume https://github.com/owner/name
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.github_scraper",
        description="Lists repositories, or takes some out of the schedule and into it again.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("list", "pause", "retire", "resume"))
    parser.add_argument("repositories", nargs="*", metavar="ADDRESS")
    parser.add_argument("--reason", help="why a repository retires")
    parser.add_argument(
        "--database-block", default=GithubScraperSettings().database_block, metavar="BLOCK"
    )
    options = parser.parse_args(arguments)
    settings = GithubScraperSettings(database_block=options.database_block)
    try:
        listed = change(options.action, options.repositories, options.reason, settings)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for each in listed:
        sys.stdout.write(f"{each.schedule}\t{each.state}\t{each.url}\t{each.first_words}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
