"""Trailers of a commit's message, such as ``Signed-off-by: A <a@x>``, as git shortlog has them."""

import re
from collections.abc import Iterator, Sequence

# Of these alone a block may have other lines, too.
MADE_BY_GIT = ("Signed-off-by: ", "(cherry picked from commit ")
OTHER_LINES_PER_TRAILER = 3
TOKEN = re.compile(r"(?P<token>[A-Za-z0-9-]+)[ \t]*:")
COMMENT = "#"
SCISSORS = f"{COMMENT} ------------------------ >8 ------------------------"
CONFLICTS = "Conflicts:"
SPACE = " \t\r\n"
FOLD = re.compile(rf"\n[{SPACE}]*")


def trailers(message: str) -> Iterator[tuple[str, str]]:
    """Token, in lower case, and value, unfolded, of each trailer, in their order.

    They stand in the last paragraph, comments and a list of conflicts behind it aside: in one of
    trailers alone, or one with a line that git writes itself and trailers for a fourth of it.
    """
    lines = message.split("\n")
    told: list[list[str]] = []
    for line in lines[_block_start(lines, end := _end(lines)) : end]:
        is_continuation = not line or line[0] in SPACE
        if is_continuation and told and TOKEN.match(told[-1][0]):
            told[-1].append(line)
        else:
            told.append([line])
    for first, *rest in told:
        if match := TOKEN.match(first):
            value = "\n".join([first[match.end() :], *rest]).strip(SPACE)
            yield match["token"].lower(), FOLD.sub(" ", value)


def _end(lines: Sequence[str]) -> int:
    """Where empty lines, comments and old lists of conflicts begin that close a message."""
    cut = lines.index(SCISSORS) if SCISSORS in lines else len(lines)
    end, is_in_conflicts, is_open = cut, False, False
    for number, line in enumerate(lines[:cut]):
        if not line or line.startswith(COMMENT):
            is_closing = True
        elif line == CONFLICTS:
            is_closing = is_in_conflicts = True
        else:
            is_closing = is_in_conflicts and line.startswith("\t")
        if not is_closing:
            is_open = is_in_conflicts = False
        elif not is_open:
            end, is_open = number, True
    return end if is_open else cut


def _block_start(lines: Sequence[str], end: int) -> int:
    """Where the trailers begin that end there; ``end`` where there are none."""
    number_of_trailers = others = continuations = 0
    is_of_git = has_begun = False
    start = end
    for number in range(end - 1, -1, -1):
        line = lines[number]
        if line.startswith(COMMENT):
            others += continuations
            continuations = 0
        elif not line.strip(SPACE):
            if has_begun:
                break
            continue
        elif line.startswith(MADE_BY_GIT) or TOKEN.match(line):
            number_of_trailers += 1
            continuations = 0
            is_of_git = is_of_git or line.startswith(MADE_BY_GIT)
        elif line[0] in SPACE:
            continuations += 1
        else:
            others += 1 + continuations
            continuations = 0
        has_begun = has_begun or not line.startswith(COMMENT)
        start = number
    others += continuations
    is_mixed = is_of_git and number_of_trailers * OTHER_LINES_PER_TRAILER >= others
    return start if is_mixed or (number_of_trailers and not others) else end
