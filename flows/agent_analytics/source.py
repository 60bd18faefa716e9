"""Reading from outside: telemetry files, commits, Copilot's reports."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import psycopg

from flows._shared.inbox import Delivery, Position, read_deliveries
from flows._shared.json_keys import each_once
from flows.agent_analytics.records import (
    Commit,
    CopilotDay,
    CopilotDownError,
    CopilotRefusedError,
    GitReadError,
    MartsMissingError,
    Rejected,
    Signal,
    UnreadableTelemetryError,
)
from flows.agent_analytics.rules import (
    MAXIMUM_BODY_BYTES,
    canonical_json,
    canonical_line,
    commit_of,
    commit_rows,
    copilot_day,
    legacy_copilot_day,
    otel_lines,
)

LINES = (".json", ".jsonl", ".ndjson")
PROTOBUF = (".pb", ".binpb")
LENGTH_BYTES = 4
START_BYTES = 4096
COPY_BYTES = 1 << 20
EXCERPT = 300
LONGEST_LINE = 120_000_000
UNIT, RECORD = "\x1f", "\x1e"
GIT_FORMAT = f"{RECORD}%H{UNIT}%an{UNIT}%ae{UNIT}%ct{UNIT}%B{UNIT}"
Row = TypeVar("Row")
# A commit that several repositories have is told of the first of them.
MART_COMMITS = """
with co_authors as (
    select
        coauthored.repository_id, coauthored.commit_hash,
        string_agg(
            concat_ws(' @', contributors.display_name, contributors.email_domain), E'\\n'
            order by contributors.contributor_id
        ) as co_authors
    from analytics.int_coauthored_commits as coauthored
    inner join analytics.dim_contributor as contributors using (contributor_id)
    group by coauthored.repository_id, coauthored.commit_hash
)
select
    commit_hash, authors.display_name, commits.commit_date,
    commits.files_changed, commits.lines_added, commits.lines_deleted,
    coalesce(lower(authors.username), 'contributor ' || contributor_id),
    repositories.repo_name, co_authors.co_authors
from analytics.int_commits as commits
inner join analytics.dim_contributor as authors using (contributor_id)
inner join analytics.dim_repository as repositories using (repository_id)
left join co_authors using (repository_id, commit_hash)
where commits.is_first_copy
"""
API_VERSION = "2022-11-28"
NOT_YET = {202, 204}


@dataclass(frozen=True)
class FilePart:
    """The part of a telemetry file that was not loaded yet.

    Args:
        end: bytes of the file that are read once this part is; up to the last whole line.
        start_hash: of the file's first bytes, ``hashed`` of them, which tell it from another one
            of the same name.
    """

    path: Path
    begin: int
    end: int
    start_hash: str
    modified_ns: int


@dataclass(frozen=True)
class LineFile:
    """A file of OTLP JSON lines, and the name that a message gives it."""

    path: Path
    name: str


def telemetry_files(patterns: Iterable[str]) -> list[Path]:
    """The telemetry files that the patterns name (a folder names all in it), oldest first."""
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern).absolute()
        if path.is_dir():
            found.update(child for child in path.rglob("*") if _is_telemetry(child))
        else:
            root = Path(path.anchor)
            found.update(
                child for child in root.glob(str(path.relative_to(root))) if child.is_file()
            )
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)))


def _is_telemetry(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".gz").endswith(LINES + PROTOBUF)


def unread_part(path: Path, read_before: tuple[int, str, int] | None) -> FilePart | None:
    """What of a file is new since (bytes read, hash of its start, time of change); None: nothing.

    A file that grew is read from where reading ended; one that was replaced is read whole. The
    last line of a file that is still written counts once its newline is there.
    """
    status = path.stat()
    if read_before and (read_before[0], read_before[2]) == (status.st_size, status.st_mtime_ns):
        return None
    begin = 0
    start = _start_hash(path, status.st_size)
    if path.name.endswith(LINES):
        if read_before and read_before[0] <= status.st_size:
            length = int(read_before[1].partition(":")[0])
            if _start_hash(path, length) == read_before[1]:
                begin = read_before[0]
        end = _after_last_newline(path, begin, status.st_size)
    else:
        end = status.st_size
    if begin == end:
        return None
    return FilePart(path, begin, end, start, status.st_mtime_ns)


def _start_hash(path: Path, size: int) -> str:
    length = min(size, START_BYTES)
    with path.open("rb") as file:
        return f"{length}:{hashlib.sha256(file.read(length)).hexdigest()}"


def _after_last_newline(path: Path, begin: int, size: int) -> int:
    """Searched backwards: a collector's line can be long, a file of them longer."""
    with path.open("rb") as file:
        end = size
        while end > begin:
            start = max(begin, end - COPY_BYTES)
            file.seek(start)
            position = file.read(end - start).rfind(b"\n")
            if position >= 0:
                return start + position + 1
            end = start
    return begin


def split(part: FilePart, size: int) -> Iterator[FilePart]:
    """The part in pieces of whole lines of about this many bytes, so that each can be one load."""
    if not part.path.name.endswith(LINES):
        yield part
        return
    begin = part.begin
    with part.path.open("rb") as file:
        while part.end - begin > size:
            file.seek(begin + size)
            file.readline()
            end = min(file.tell(), part.end)
            yield replace(part, begin=begin, end=end)
            begin = end
    if begin < part.end:
        yield replace(part, begin=begin)


def line_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    """Files of OTLP JSON lines with the content of the part, each of about this many bytes.

    The file itself where it is one already. What cannot be read is told instead.
    """
    plain = part.path.name.removesuffix(".gz")
    if plain.endswith(PROTOBUF):
        yield from _protobuf_files(part, folder, size)
    elif part.path.name.endswith(".gz"):
        yield from _inflated_files(part, folder, size)
    elif part.begin == 0 and part.end == part.path.stat().st_size:
        yield LineFile(part.path, str(part.path))
    else:
        target = _scratch(part, folder)
        with part.path.open("rb") as source, target.path.open("wb") as copy:
            _copy(source, copy, part.begin, part.end)
        yield target


def _copy(source: IO[bytes], copy: IO[bytes], begin: int, end: int) -> None:
    # Read and written, the copy would be a tenth of the time of a load. Linux alone copies within
    # the kernel, and not between file systems of two kinds.
    with suppress(AttributeError, OSError):
        files = source.fileno(), copy.fileno()
        while begin < end and (copied := os.copy_file_range(*files, end - begin, offset_src=begin)):
            begin += copied
    source.seek(begin)
    copy.seek(0, os.SEEK_END)
    while begin < end and (block := source.read(min(COPY_BYTES, end - begin))):
        begin += copy.write(block)


def _inflated_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    begin = 0
    with gzip.open(part.path, "rb") as source:
        while True:
            target = _scratch(replace(part, begin=begin), folder)
            broken = ""
            with target.path.open("wb") as copy:
                try:
                    while copy.tell() < size and (line := source.readline()):
                        copy.write(line)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    broken = str(error)
                written = copy.tell()
            if written:
                yield target
            if broken:
                yield Rejected(str(part.path), f"the gzip stream is broken: {broken}", "")
            if broken or written < size:
                return
            begin += written


def good_lines(file: LineFile, folder: Path) -> tuple[LineFile, list[Rejected]]:
    """The file without the lines that are not OTLP, and why each was left out."""
    target = LineFile(folder / f"good-{file.path.name}", file.name)
    rejected = []
    with target.path.open("w", encoding="utf-8") as copy, file.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                copy.write(f"{_short(canonical_json(line))}\n")
            except UnreadableTelemetryError as error:
                excerpt = line[:EXCERPT].decode("utf-8", "replace").strip()
                rejected.append(Rejected(file.name, error.seen, f"line {number}: {excerpt}"))
    return target, rejected


def _short(line: str) -> str:
    """Of what is short as protobuf the JSON may be ten times as long."""
    if len(line) > LONGEST_LINE:
        raise UnreadableTelemetryError(
            "Reading OTLP",
            f"longer than {LONGEST_LINE:,} characters as JSON",
            "Let the sender send smaller batches",
        )
    return line


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")
    return path.open("rb")


def _scratch(part: FilePart, folder: Path) -> LineFile:
    name = f"{part.path} from byte {part.begin}" if part.begin else str(part.path)
    return LineFile(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.jsonl", name)


def _protobuf_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    lines = _protobuf_lines(part.path)
    written = 0
    while (line := next(lines, None)) is not None:
        if isinstance(line, Rejected):
            yield line
            continue
        target = replace(_scratch(replace(part, begin=written), folder), name=str(part.path))
        with target.path.open("w", encoding="utf-8") as copy:
            while isinstance(line, str):
                written += copy.write(f"{line}\n")
                line = next(lines, None) if copy.tell() < size else None
        yield target
        if line is not None:
            yield line


def _protobuf_lines(path: Path) -> Iterator[str | Rejected]:
    """The signal is in the name (``metrics-...pb``)."""
    named = [signal for signal in Signal if signal.value in path.name]
    if len(named) != 1:
        seen = "its name does not say whether it holds metrics or logs"
        yield Rejected(str(path), seen, "")
        return
    try:
        for number, message in enumerate(_protobuf_messages(path), 1):
            try:
                yield _short(canonical_line(message, named[0], "application/x-protobuf"))
            except UnreadableTelemetryError as error:
                yield Rejected(str(path), error.seen, f"message {number}")
    except UnreadableTelemetryError as error:
        yield Rejected(str(path), error.seen, "")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Rejected(str(path), f"it is not gzip ({error})", "")


def _protobuf_messages(path: Path) -> Iterator[bytes]:
    """The one message of a file, or those of a collector's, each behind its length.

    A message at the end that is not whole is still written: the file is read again once it is.
    """
    with _opened(path) as file:
        start = file.read(LENGTH_BYTES)
        # No message begins with a zero, and none as long as 16 MiB is taken.
        if not start.startswith(b"\0"):
            message = start + file.read(MAXIMUM_BODY_BYTES)
            if len(message) > MAXIMUM_BODY_BYTES:
                raise _too_long(path)
            yield message
            return
        while len(start) == LENGTH_BYTES:
            length = int.from_bytes(start, "big")
            if length > MAXIMUM_BODY_BYTES:
                raise _too_long(path)
            message = file.read(length)
            if len(message) < length:
                return
            if message:
                yield message
            start = file.read(LENGTH_BYTES)


def _too_long(path: Path) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(
        f"Reading {path.name}",
        f"a message is larger than {MAXIMUM_BODY_BYTES:,} bytes",
        "Send smaller batches",
    )


@dataclass(frozen=True)
class InboxBatch:
    """Deliveries that are loaded together, and the position behind the last of them."""

    lines: LineFile
    commits: tuple[Commit | Rejected, ...]
    rejected: tuple[Rejected, ...]
    position: Position


def read_inbox(
    connection: psycopg.Connection, after: Position | None, folder: Path, size: int
) -> Iterator[InboxBatch]:
    """The deliveries behind a position, in batches of about this many bytes.

    What cannot be read of a delivery is told in its batch. The file of a batch is gone once the
    next one is asked for.
    """
    deliveries = read_deliveries(connection, "agent_analytics", after)
    while batch := _inbox_batch(deliveries, folder, size):
        yield batch
        batch.lines.path.unlink(missing_ok=True)


def _inbox_batch(deliveries: Iterator[Delivery], folder: Path, size: int) -> InboxBatch | None:
    lines = LineFile(folder / "inbox.jsonl", "inbox")
    commits: list[Commit | Rejected] = []
    rejected: list[Rejected] = []
    position = None
    taken = 0
    with lines.path.open("w", encoding="utf-8") as file:
        for delivery in deliveries:
            position = delivery.position
            taken += len(delivery.body)
            name = f"delivery {delivery.delivery_id}"
            try:
                if delivery.kind == "commits":
                    for number, row in enumerate(commit_rows(delivery.body), 1):
                        text = json.dumps(row).encode()
                        commits.append(_parsed(text, commit_of, name, f"row {number}"))
                else:
                    delivered = [_short(line) for line in _delivered_lines(delivery)]
                    file.writelines(f"{line}\n" for line in delivered)
            except (UnreadableTelemetryError, ValueError, ArithmeticError, RecursionError) as error:
                seen = error.seen if isinstance(error, UnreadableTelemetryError) else "not JSON"
                excerpt = delivery.body[:EXCERPT].decode("utf-8", "replace")
                rejected.append(Rejected(name, seen, excerpt))
            if taken >= size:
                break
    if position is None:
        return None
    return InboxBatch(lines, tuple(commits), tuple(rejected), position)


def _delivered_lines(delivery: Delivery) -> list[str]:
    match delivery.kind:
        case "otlp-metrics":
            return [canonical_line(delivery.body, Signal.METRICS, delivery.content_type)]
        case "otlp-logs":
            return [canonical_line(delivery.body, Signal.LOGS, delivery.content_type)]
        case "otel":
            return otel_lines(delivery.body)
        case other:
            raise UnreadableTelemetryError(
                f"Reading delivery {delivery.delivery_id}",
                f"deliveries of the kind {other} are not read",
                "Send telemetry and commits to the paths that the runbook names",
            )


def mart_commits(connection: psycopg.Connection) -> Iterator[Commit]:
    """Commits of the GitHub scraper's marts, each hash once; streamed.

    The marts keep neither messages nor addresses: authors are known by their login, co-authors by
    the name and the domain of the address in the trailer.

    Raises:
        MartsMissingError: the marts are not built there.
    """
    exists = connection.execute("select to_regclass('analytics.int_commits')").fetchone()
    if exists == (None,):
        raise MartsMissingError(
            "Reading commits from the GitHub scraper's marts",
            "there is no analytics.int_commits in that database",
            "Run the flow github-scraper first, or clear `github_block` in the settings",
        )
    with connection.transaction(), connection.cursor("github_commits") as rows:
        rows.itersize = 5_000
        for row in rows.execute(MART_COMMITS):
            yield Commit(
                commit_hash=row[0],
                message="",
                author_name=row[1],
                author_email="",
                committed_at=row[2].astimezone(UTC).replace(tzinfo=None),
                files_changed=row[3],
                lines_added=row[4],
                lines_deleted=row[5],
                developer_id=row[6],
                project_id=row[7],
                co_authors=row[8],
            )


def read_commit_rows(path: Path) -> Iterator[Commit | Rejected]:
    """Commits from a file of the hook's JSON, one a line."""
    yield from _rows(path, commit_of)


def read_copilot_rows(path: Path) -> Iterator[CopilotDay | Rejected]:
    """Days from a file of a report's rows, one a line."""
    yield from _rows(path, copilot_day)


def _rows(path: Path, parse: Callable[[Mapping[str, Any]], Row]) -> Iterator[Row | Rejected]:
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, parse, path.name, f"line {number}")


def _parsed(
    line: bytes, parse: Callable[[Mapping[str, Any]], Row], name: str, place: str
) -> Row | Rejected:
    try:
        content = json.loads(line, object_pairs_hook=each_once)
        # Half a letter, which JSON can spell, is no text.
        json.dumps(content, ensure_ascii=False).encode()
        return parse(content)
    except KeyError as error:
        reason = f"without {error.args[0]}"
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"not such a row: {str(error).partition(' (')[0]}"
    return Rejected(name, reason, f"{place}: {line[:EXCERPT].decode('utf-8', 'replace')}")


def git_commits(repository: Path, since: datetime | None = None) -> Iterator[Commit]:
    """Commits of every branch of a local repository, with line counts; merges count none.

    Raises:
        GitReadError: git fails; what was yielded before is a part only.
    """
    command = ["git", "-C", str(repository), "log", "--all", "--numstat", f"--format={GIT_FORMAT}"]
    if since:
        command.append(f"--since={since.isoformat()}")
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as git,
    ):
        assert git.stdout is not None
        # Only "\n" ends a line here: universal newlines would change messages.
        text = io.TextIOWrapper(git.stdout, encoding="utf-8", errors="replace", newline="\n")
        for record in _records(text):
            yield _git_commit(record, repository.name.removesuffix(".git"))
        status = git.wait()
        complaints.seek(0)
        seen = complaints.read().decode("utf-8", "replace").strip()
    if status:
        raise GitReadError(
            f"Reading the commits of {repository}",
            seen or f"git ended with {status}",
            "Check that the path is a git repository that this user may read",
        )


def _records(stream: io.TextIOWrapper) -> Iterator[str]:
    held = ""
    while block := stream.read(COPY_BYTES):
        *whole, held = (held + block).split(RECORD)
        yield from (record for record in whole if record)
    if held:
        yield held


def _git_commit(record: str, project: str) -> Commit:
    commit_hash, name, email, seconds, message, counts = record.split(UNIT, 5)
    files = [line.split("\t") for line in counts.splitlines() if line.count("\t") >= 2]
    return Commit(
        commit_hash=commit_hash,
        message=message.strip(),
        author_name=name,
        author_email=email,
        committed_at=datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None),
        files_changed=len(files),
        lines_added=sum(int(added) for added, *_ in files if added.isdecimal()),
        lines_deleted=sum(int(deleted) for _, deleted, *_ in files if deleted.isdecimal()),
        project_id=project,
    )


@contextmanager
def copilot_client(
    api: str, token: str, transport: httpx.BaseTransport | None = None
) -> Iterator["Copilot"]:
    """The Copilot reports of one token. The token goes to the API only, not to download links."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": API_VERSION,
    }
    with (
        httpx.Client(base_url=api, headers=headers, timeout=60, transport=transport) as authorized,
        httpx.Client(timeout=300, transport=transport) as anonymous,
    ):
        yield Copilot(authorized, anonymous)


@dataclass(frozen=True)
class Copilot:
    """Copilot usage of an organization."""

    authorized: httpx.Client
    anonymous: httpx.Client

    def fetch_day(self, organization: str, day: date) -> Iterator[CopilotDay | Rejected]:
        """Each user's day, from the files the report links to. A day without a report is empty.

        Raises:
            CopilotDownError, CopilotRefusedError
        """
        path = f"/orgs/{organization}/copilot/metrics/reports/users-1-day"
        answer = self._get(path, {"day": day.isoformat()})
        if answer.status_code in NOT_YET:
            return
        for link in answer.json().get("download_links") or []:
            yield from self._download(str(link), day)

    def fetch_legacy(
        self, organization: str, days: Sequence[date]
    ) -> Iterator[CopilotDay | Rejected]:
        """The old organization-wide days, from the first to the last of ``days``.

        Raises:
            CopilotDownError, CopilotRefusedError
        """
        path = f"/orgs/{organization}/copilot/metrics"
        span = {"since": min(days).isoformat(), "until": max(days).isoformat(), "per_page": "100"}
        page = 1
        while rows := self._get(path, {**span, "page": str(page)}).json():
            for number, row in enumerate(rows, 1):
                text = json.dumps(row).encode()
                yield _parsed(text, legacy_copilot_day, "legacy", f"page {page} row {number}")
            page += 1

    def _download(self, link: str, day: date) -> Iterator[CopilotDay | Rejected]:
        name = f"users-1-day {day.isoformat()}"
        try:
            with self.anonymous.stream("GET", link) as answer:
                _check(answer, f"Downloading the Copilot report of {day}")
                for number, line in enumerate(answer.iter_lines(), 1):
                    if line.strip():
                        yield _parsed(line.encode(), copilot_day, name, f"line {number}")
        except httpx.TransportError as error:
            raise _down(f"Downloading the Copilot report of {day}", type(error).__name__) from error

    def _get(self, path: str, parameters: Mapping[str, str]) -> httpx.Response:
        attempted = f"Fetching {path}"
        try:
            answer = self.authorized.get(path, params=dict(parameters))
        except httpx.TransportError as error:
            raise _down(attempted, type(error).__name__) from error
        _check(answer, attempted)
        return answer


def _check(answer: httpx.Response, attempted: str) -> None:
    status = answer.status_code
    is_limited = status == 429 or (
        status == 403
        and ("retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0")
    )
    if status >= 500 or is_limited:
        raise _down(attempted, f"it answered {status}")
    if status >= 300:
        raise CopilotRefusedError(
            attempted,
            f"it answered {status}",
            "Check the organization's name, that Copilot metrics are on, and what the token may",
        )


def _down(attempted: str, seen: str) -> CopilotDownError:
    return CopilotDownError(attempted, seen, "The run tries again; else check the API's status")
