"""Names of domains and the like as people type them, who know other spellings of the same."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from flows._shared.errors import PermanentError, PlatformError


class NoSuchNameError(PermanentError):
    """There is none of a name that was given."""


def status_of(error: PlatformError) -> int:
    """How a program ends by an error: 2 where its command line names what there is none of."""
    return 2 if isinstance(error, NoSuchNameError) else 1


def spelled(name: str) -> str:
    """``GitHub-Scraper`` and ``github scraper`` as the project spells it, ``github_scraper``."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def chosen(
    given: Sequence[str] | None, known: Collection[str], attempted: str = "choosing"
) -> tuple[str, ...]:
    """Those that were given, as they are known; all if none was.

    Raises:
        NoSuchNameError: there is none of that name; the nearest is told.
    """
    names = {spelled(each): each for each in known}
    if unknown := [each for each in given or () if spelled(each) not in names]:
        nearest = (get_close_matches(spelled(each), names, 1) for each in unknown)
        meant = [names[found] for each in nearest for found in each]
        raise NoSuchNameError(
            f"{attempted} {', '.join(unknown)}",
            "there is none of that name" + (f"; did you mean {', '.join(meant)}?" if meant else ""),
            f"There are: {', '.join(known)}",
        )
    return tuple(names[spelled(each)] for each in given or known)
