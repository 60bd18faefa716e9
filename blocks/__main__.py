"""The credential blocks of the domains: list them, register them, try them."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from blocks import CATALOGUE, BlockNeed, mounted, not_in_use
from flows._shared.chosen import chosen, status_of
from flows._shared.errors import PermanentError, PlatformError

SECRETS_DIR = "ANALYTICS_FLOWS_SECRETS_DIR"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blocks", description=__doc__)
    parser.add_argument("command", choices=("list", "register", "check"))
    parser.add_argument("slugs", nargs="*", metavar="slug", help="domains; all if none is given")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, without any value"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="after registering, try each block, as `check` does by itself",
    )
    parser.add_argument(
        "--secrets",
        type=Path,
        default=os.environ.get(SECRETS_DIR) or None,
        metavar="FOLDER",
        help=f"of files named after the variables that they stand in for (default: {SECRETS_DIR})",
    )
    options = parser.parse_args(arguments)
    try:
        slugs = chosen(options.slugs, CATALOGUE)
        given = environment(options.secrets)
        if options.command == "list":
            return show(slugs, given)
        if options.command == "check":
            return tell_checks(slugs, leaves_out=not options.slugs)
        write(slugs, given, dry_run=options.dry_run)
        return tell_checks(slugs) if options.check else 0
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return status_of(error)
    except httpx.TransportError as error:
        sys.stderr.write(
            f"asking the Prefect server: {type(error).__name__}. Check PREFECT_API_URL and that "
            "the server is up\n"
        )
    return 1


def environment(folder: Path | None) -> dict[str, str]:
    """The variables of this process and, where it lacks one, of the folder.

    Raises:
        PermanentError: there is no such folder, or a file in it cannot be read.
    """
    try:
        files = mounted(folder) if folder else {}
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(
            f"reading secrets from {folder}",
            error.strerror or "" if isinstance(error, OSError) else "a file there is not text",
            f"Mount them there, or name another folder with --secrets or {SECRETS_DIR}",
        ) from None
    return {**files, **{name: value for name, value in os.environ.items() if value}}


def show(slugs: Sequence[str], given: Mapping[str, str]) -> int:
    """A line a block; where a server is named, whether it has the block."""
    is_asked = bool(os.environ.get("PREFECT_API_URL"))
    for slug in slugs:
        for need in CATALOGUE[slug]:
            state = "required" if need.is_required else "optional"
            if is_asked:
                state += ", registered" if _is_registered(need) else ", not registered"
            is_set = "set" if need.value(given) else "not set here"
            line = f"{need.name}  {need.kind.block_type}  {need.variable} ({is_set})  {state}"
            sys.stdout.write(f"{line}  {need.purpose}\n")
    return 0


def _is_registered(need: BlockNeed) -> bool:
    from blocks.registration import is_registered

    return is_registered(need)


def write(slugs: Sequence[str], given: Mapping[str, str], *, dry_run: bool) -> None:
    from blocks.registration import register

    for registration in register(slugs, given, dry_run=dry_run):
        sys.stdout.write(
            f"{'would ' if dry_run and registration.is_change else ''}{registration}\n"
        )
    for slug in slugs:
        if not any(need.is_required or need.value(given) for need in CATALOGUE[slug]):
            variables = " and ".join(need.variable for need in CATALOGUE[slug])
            sys.stdout.write(f"nothing of {slug} to register: {variables} not set\n")


def tell_checks(slugs: Sequence[str], *, leaves_out: bool = False) -> int:
    """Try each block. ``leaves_out`` passes over domains that this server does not serve."""
    from blocks.checks import check
    from blocks.registration import is_registered

    absent = not_in_use(is_registered) if leaves_out else ()
    for slug in absent:
        sys.stdout.write(f"left out {slug}: none of its blocks is registered\n")
    status = 0
    for each in check([slug for slug in slugs if slug not in absent]):
        sys.stdout.write(f"{each}\n")
        status = status if each.is_good else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
