"""Links between the pages of the repository, and where they lead on the site."""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flows._shared.errors import PermanentError

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")
NO_PART_OF_A_SLUG = re.compile(r"[^\w\- ]")


def slug(heading: str, separator: str = "-") -> str:
    """The anchor of a heading, as a forge names it."""
    return NO_PART_OF_A_SLUG.sub("", heading.strip().lower()).replace(" ", separator)


def led_to_the_site(text: str, page: str, places: Mapping[str, str], root: Path) -> str:
    """The text of a page with its links as the site has them.

    Args:
        page: its path below the root.
        places: where on the site each file of the root is that has a place there; any other file
            is named, and not linked.

    Raises:
        PermanentError: a link leads nowhere.
    """
    here = PurePosixPath(places[page]).parent

    def led(link: re.Match[str]) -> str:
        mark, words, path, anchor = link[1], link[2], link[3], link[4] or ""
        wanted = os.path.normpath(PurePosixPath(page).parent / path)
        if place := places.get(wanted):
            return f"{mark}[{words}]({os.path.relpath(place, here)}{anchor})"
        if not (root / wanted).exists():
            raise PermanentError(
                f"making the site of the documentation from {page}",
                f"its link to {path} leads nowhere",
                "Correct it",
            )
        return words if words.startswith("`") else f"{words} (`{wanted}`)"

    return LINK.sub(led, text)
