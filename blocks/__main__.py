"""``python -m blocks list | register [slug ...]``."""

import argparse
import os
import sys
from collections.abc import Sequence

from blocks import CATALOGUE, Kind
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from flows._shared.errors import PlatformError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blocks", description=__doc__)
    parser.add_argument("command", choices=("list", "register"))
    parser.add_argument("slugs", nargs="*", metavar="slug", help="domains; all if none is given")
    options = parser.parse_args(arguments)
    slugs = tuple(options.slugs) or tuple(CATALOGUE)
    if unknown := [slug for slug in slugs if slug not in CATALOGUE]:
        parser.error(f"no domain {', '.join(unknown)}; there are {', '.join(CATALOGUE)}")
    if options.command == "list":
        return show(slugs)
    try:
        return write(slugs)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def show(slugs: Sequence[str]) -> int:
    for slug in slugs:
        for need in CATALOGUE[slug]:
            state = "required" if need.is_required else "optional"
            is_set = "set" if need.value(os.environ) else "not set"
            line = f"{need.name}  {need.kind.block_type}  {need.variable} ({is_set})  {state}"
            sys.stdout.write(f"{line}  {need.purpose}\n")
    return 0


def write(slugs: Sequence[str]) -> int:
    from blocks.registration import register

    written = register(slugs, {**embedded_values(slugs), **os.environ})
    for name in written:
        sys.stdout.write(f"registered {name}\n")
    return 0


def embedded_values(slugs: Sequence[str]) -> dict[str, str]:
    """Values that the embedded runtime gives to needs the environment leaves open."""
    cluster = EmbeddedPostgres(LocalPaths().postgres)
    needs = [(slug, need) for slug in slugs for need in CATALOGUE[slug]]
    open_needs = [
        (slug, need)
        for slug, need in needs
        if need.kind is Kind.POSTGRES and not need.value(os.environ)
    ]
    if not open_needs or not cluster.is_running():
        return {}
    return {need.variable: cluster.create_database(slug) for slug, need in open_needs}


if __name__ == "__main__":
    sys.exit(main())
