"""Makes a git history with the shape and mess of a real one, as a ``git fast-import`` stream."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2024, 1, 1, 8, tzinfo=UTC)
COMMIT_TYPES = ("feat", "fix", "docs", "refactor", "test", "chore", "perf", "build", "ci")
SCOPES = ("", "", "(api)", "(parser)", "(ui)")
OFFSETS = ("+0000", "+0100", "-0500", "+0530", "+0900", "-0330")
WORDS = (
    *("cache", "timeout", "retry", "schema", "parser", "header", "token", "index", "upload"),
    *("batch", "cursor", "window", "stream", "config", "worker", "queue", "metric", "branch"),
)


@dataclass
class _Branch:
    """A line of work: where it stands and what it changed since it left main."""

    name: str
    tip: int
    merge_on: datetime
    files: dict[str, list[str]]
    changed: set[str] = field(default_factory=set)


def developers(size: int, seed: int) -> list[tuple[str, str]]:
    """(name, e-mail) pairs: plain, noreply, several addresses of one person, bots, oddities."""
    chance = random.Random(f"developers-{seed}")
    people = [("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.github.com")]
    for number in range(1, size):
        name = f"{chance.choice(('Ada', 'Björn', 'Chen', 'Dana', '江'))} {number}"
        kind = chance.random()
        if kind < 0.3:
            people.append((name, f"{10_000 + number}+dev{number}@users.noreply.github.com"))
        elif kind < 0.4:
            people.append((name, f"dev{number}@home.example"))
            people.append((name, f"Dev{number}@Work.example"))
        elif kind < 0.43:
            people.append((name, ""))
        else:
            people.append((name, f"dev{number}@work.example"))
    return people


def history(
    commits: int, seed: int = 0, *, start: datetime = START, commits_per_day: float = 12.0
) -> Iterator[bytes]:
    """A history of ``commits`` commits; those of branches still open at its end are not on main.

    After the last commit of each day ``refs/days/<date>`` marks where main stood. Branches live
    one to sixty days, so that merges bring commits which are much older than main's newest.
    Blobs are small texts, a few binaries, renames and deletions; messages hold conventional
    types, pipes, tabs, newlines, co-authors and other scripts.
    """
    chance = random.Random(seed)
    people = developers(max(3, int(commits**0.45)), seed)
    weights = [1 / (rank + 1) for rank in range(len(people))]
    main: dict[str, list[str]] = {}
    branches: list[_Branch] = []
    now, tip, made = start, 0, 0

    def signature(moment: datetime) -> bytes:
        name, email = chance.choices(people, weights)[0]
        return f"{name} <{email}> {int(moment.timestamp())} {chance.choice(OFFSETS)}".encode()

    def commit(parents: list[int], message: str, changes: bytes) -> tuple[int, bytes]:
        nonlocal made
        made += 1
        text = message.encode()
        written = now - timedelta(seconds=chance.choice((0, 0, 60, 86_400)))
        lines = [
            b"commit refs/heads/main" if not parents or parents[0] == tip else b"commit refs/work",
            b"mark :%d" % made,
            b"author " + signature(written),
            b"committer " + signature(now),
            b"data %d\n%s" % (len(text), text),
        ]
        if parents and parents[0]:
            lines.append(b"from :%d" % parents[0])
        lines.extend(b"merge :%d" % parent for parent in parents[1:])
        return made, b"\n".join(lines) + b"\n" + changes + b"\n"

    day = start.date()
    while made < commits:
        now += timedelta(days=chance.expovariate(commits_per_day))
        if now.date() != day and tip:
            yield b"reset refs/days/%s\nfrom :%d\n\n" % (day.isoformat().encode(), tip)
            day = now.date()
        ready = [branch for branch in branches if branch.merge_on <= now]
        if ready and tip:
            joined = ready[: chance.choice((1, 1, 1, 2))]
            changes = b"".join(_take_over(main, branch) for branch in joined)
            names = " and ".join(branch.name for branch in joined)
            tip, lines = commit([tip, *(b.tip for b in joined)], f"Merge {names}\n", changes)
            branches = [branch for branch in branches if branch not in joined]
            yield lines
            continue
        if tip and len(branches) < 12 and chance.random() < 0.12:
            lag = timedelta(days=min(60.0, chance.lognormvariate(1.5, 1.2)))
            branches.append(
                _Branch(f"branch-{made}", tip, now + lag, {k: v[:] for k, v in main.items()})
            )
        if branches and chance.random() < 0.6:
            branch = chance.choice(branches)
            changes, paths = _edit(chance, branch.files)
            branch.changed |= paths
            branch.tip, lines = commit([branch.tip], _message(chance, people), changes)
            yield lines
            continue
        changes, _ = _edit(chance, main)
        tip, lines = commit([tip], _message(chance, people), changes)
        yield lines
    yield b"reset refs/heads/main\nfrom :%d\n\n" % tip
    yield b"reset refs/work\nfrom 0000000000000000000000000000000000000000\n\n"
    yield b"done\n"


def _take_over(main: dict[str, list[str]], branch: _Branch) -> bytes:
    lines = b""
    for path in sorted(branch.changed):
        if path in branch.files:
            main[path] = branch.files[path]
            lines += _write(path, main[path])
        elif main.pop(path, None) is not None:
            lines += b"D %s\n" % path.encode()
    return lines


def _edit(chance: random.Random, files: dict[str, list[str]]) -> tuple[bytes, set[str]]:
    changes, paths = b"", set()
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        kind = chance.random()
        path = chance.choice(sorted(files)) if files and kind > 0.15 else _new_path(chance)
        if path in paths:
            continue
        paths.add(path)
        if path.endswith(".bin"):
            blob = chance.randbytes(64) + b"\0"
            files[path] = []
            changes += b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(blob), blob)
        elif kind > 0.97 and path in files:
            del files[path]
            changes += b"D %s\n" % path.encode()
        elif kind > 0.94 and path in files:
            renamed = _new_path(chance).replace(".bin", ".py")
            paths.add(renamed)
            files[renamed] = files.pop(path)
            changes += b"R %s %s\n" % (path.encode(), renamed.encode())
        else:
            lines = files.setdefault(path, [])
            at = chance.randrange(len(lines) + 1)
            lines[at : at + chance.choice((0, 1, 2))] = [
                f"{chance.choice(WORDS)} = {chance.randrange(10_000)}"
                for _ in range(chance.choice((1, 2, 5, 20)))
            ]
            del lines[300:]
            changes += _write(path, lines)
    return changes, paths


def _write(path: str, lines: list[str]) -> bytes:
    blob = ("\n".join(lines) + "\n").encode() if not path.endswith(".bin") else b"\0merged"
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(blob), blob)


def _new_path(chance: random.Random) -> str:
    suffix = chance.choice((".py", ".py", ".md", ".sql", ".bin"))
    folder, word = chance.choices(WORDS, k=2)
    return f"src/{folder}/{word}_{chance.randrange(1_000_000)}{suffix}"


def _message(chance: random.Random, people: list[tuple[str, str]]) -> str:
    subject = " ".join(chance.sample(WORDS, 4))
    kind = chance.random()
    if kind < 0.6:
        breaking = "!" if chance.random() < 0.05 else ""
        subject = f"{chance.choice(COMMIT_TYPES)}{chance.choice(SCOPES)}{breaking}: {subject}"
    elif kind < 0.7:
        subject = f"{subject} | with\ta pipe and a tab — 漢字"
    body = f"\n\n{' '.join(chance.choices(WORDS, k=30))}" if chance.random() < 0.5 else ""
    if chance.random() < 0.08:
        name, email = chance.choice(people)
        body += f"\n\nCo-authored-by: {name} <{email}>"
    return subject + body + "\n"
