"""What a repository may contain, and what becomes of it."""

import base64
import io
import random
import re
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest

from flows._shared.errors import PlatformError, TransientError
from flows.github_scraper import raw, source
from flows.github_scraper.records import (
    DefaultBranchError,
    DiskFullError,
    FolderNotOursError,
    GitCommandError,
    HostUntrustedError,
    LoginRequiredError,
    RepositoryEmptiedError,
    RepositoryNotFoundError,
    RepositoryTooLargeError,
    RepositoryUnreachableError,
    SourceCorruptError,
    Walk,
)
from flows.github_scraper.source.attributes import CHUNK, speaks_to_linguist
from flows.github_scraper.source.command import git_environment
from flows.github_scraper.source.failures import failure
from tests.github_scraper.conftest import Sync
from tests.github_scraper.histories import AUTHOR, History
from tests.github_scraper.tables import contents


def commit_row(connection: psycopg.Connection, commit_hash: str) -> dict[str, object]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row = cursor.execute(
            "select commits.*, contributors.identity_key from public.commits "
            "inner join public.contributors on contributors.id = contributor_id "
            "where commit_hash = %s",
            (commit_hash,),
        ).fetchone()
    assert row is not None
    return row


def numstat_by_commit(history: History) -> dict[str, tuple[int, int, int]]:
    """Additions, deletions and files per commit, from git's plain text output."""
    sums: dict[str, tuple[int, int, int]] = {}
    commit_hash = ""
    text = history.git(
        "-c", "core.quotePath=true", "log", "--numstat", "-M", "--diff-merges=first-parent",
        "--format=commit %H", "main",
    )  # fmt: skip
    for line in text.splitlines():
        if line.startswith("commit "):
            commit_hash = line.split()[1]
            sums[commit_hash] = (0, 0, 0)
        elif match := re.match(r"(\d+|-)\t(\d+|-)\t", line):
            added, deleted, files = sums[commit_hash]
            lines = (0, 0) if match[1] == "-" else (int(match[1]), int(match[2]))
            sums[commit_hash] = (added + lines[0], deleted + lines[1], files + 1)
    return sums


def test_every_commit_has_the_counts_of_git_numstat_and_is_counted_for_its_author(
    connection: psycopg.Connection, sync: Sync, sample_history: History, is_exhaustive: bool
) -> None:
    sync(sample_history.path)
    loaded = {
        row[0]: row[1:]
        for row in connection.execute(
            "select commit_hash, lines_added, lines_deleted, files_changed from public.commits"
        )
    }
    assert len(loaded) > (5_000 if is_exhaustive else 1_000)
    assert loaded == numstat_by_commit(sample_history)
    counted = connection.execute("select sum(commit_count) from public.repository_contributors")
    assert counted.fetchone() == (len(loaded),)


def test_an_empty_repository_is_a_success_without_commits(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    assert sync(history.path).walk is Walk.NOTHING
    assert connection.execute("select state, is_empty from public.repositories").fetchall() == [
        ("completed", True)
    ]


def test_a_repository_that_lost_its_branch_keeps_its_rows(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    history.point(history.commit())
    sync(history.path)
    history.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(RepositoryEmptiedError):
        sync(history.path)
    assert connection.execute(
        "select count(*) from public.commits where orphaned_at is null"
    ).fetchone() == (1,)


def test_messages_and_names_arrive_as_they_were_written(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    latin = history.commit(
        b"caf\xe9\n",
        author=b"Ren\xe9 <r@x> 1700000000 -0330",
        headers=b"encoding ISO-8859-1\n",
    )
    broken = history.commit(b"bad \xff\xfe bytes | and\ta\x1etab", parents=[latin])
    nul = history.commit(b"before\0after\n", parents=[broken])
    ending = history.commit(b"whole\n\0", parents=[nul])
    named = history.commit(parents=[ending], author=b"A\0da <a@x> 1700000000 +0000")
    huge = history.commit(b"x" * 10_000_000 + b"\n", parents=[named])
    history.point(huge)
    assert sync(history.path).commits_written == 6
    for cut in (ending, named):
        assert commit_row(connection, cut)["is_encoding_valid"] is False
    assert commit_row(connection, huge)["is_encoding_valid"] is True
    row = commit_row(connection, latin)
    assert (row["commit_message"], row["author_name"]) == ("café", "René")
    assert (row["author_utc_offset"], row["is_encoding_valid"]) == ("-0330", True)
    row = commit_row(connection, broken)
    assert row["commit_message"] == "bad \ufffd\ufffd bytes | and\ta\x1etab"
    assert row["is_encoding_valid"] is False
    # git itself ends a message at its first NUL.
    row = commit_row(connection, nul)
    assert (row["commit_message"], row["is_encoding_valid"]) == ("before", False)
    assert len(str(commit_row(connection, huge)["commit_message"])) == 10_000_000


def test_signatures_without_name_email_or_date_still_load(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    nobody = history.commit(author="", committer="")
    nameless = history.commit(parents=[nobody], author=" <a@x> 1700000000 +0000")
    emailless = history.commit(parents=[nameless], author="Bo <> 1700000000 +0000")
    dateless = history.commit(parents=[emailless], author="Bo <b@x> soon", committer=AUTHOR)
    history.point(dateless)
    sync(history.path)
    keys = [
        commit_row(connection, commit)["identity_key"]
        for commit in (nobody, nameless, emailless, dateless)
    ]
    assert keys == ["anonymous:1", "email:a@x", "name:1/bo", "email:b@x"]
    assert commit_row(connection, nobody)["is_date_clamped"] is True
    assert commit_row(connection, nobody)["author_name_mapped"] == ""
    row = commit_row(connection, dateless)
    assert row["author_epoch_seconds"] is None
    assert row["commit_date"] == row["committed_at"]


def test_who_gives_no_address_is_one_person_in_one_repository_only(
    connection: psycopg.Connection, sync: Sync, history: History, tmp_path: Path
) -> None:
    for each in (history, other := History(tmp_path / "other.git")):
        nameless = each.commit(author="Bo <> 1700000000 +0000")
        message = b"x\n\nCo-authored-by: Cy <>\nCo-authored-by: <>\n"
        each.point(each.commit(message, parents=[nameless], author="BO <> 1700000001 +0000"))
        sync(each.path)
    keys = connection.execute(
        "select identity_key, count(commits.id) from public.contributors"
        " left join public.commits on identity_id = contributors.id group by 1 order by 1"
    ).fetchall()
    assert keys == [
        *(("anonymous:1", 0), ("anonymous:2", 0), ("name:1/bo", 2), ("name:1/cy", 0)),
        *(("name:2/bo", 2), ("name:2/cy", 0)),
    ]
    connection.execute(
        "update public.contributors set identity_key = 'name:bo' where identity_key = 'name:1/bo';"
        "update public.commits set identity_id = (select id from public.contributors where"
        " identity_key = 'name:bo'), contributor_id = (select id from public.contributors where"
        " identity_key = 'name:bo') where identity_id = (select id from public.contributors where"
        " identity_key = 'name:2/bo');"
        "update public.repository_heads set reading = 1"
    )
    for each in (history, other):
        sync(each.path)
    read_anew = connection.execute(
        "select identity_key, count(*) from public.commits"
        " inner join public.contributors on contributors.id = identity_id group by 1 order by 1"
    ).fetchall()
    assert read_anew == [("name:1/bo", 2), ("name:2/bo", 2)]
    assert connection.execute(
        "select count(*) from public.contributors where identity_key = 'name:bo'"
    ).fetchone() == (0,)


def test_head_on_a_tag_is_the_commit_that_it_points_to(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    signed = ("-c", "user.name=a", "-c", "user.email=a@x", "-c", "advice.nestedTag=false")
    tree = history.files({".mailmap": b"Ada L <ada@work.example>\n"})
    first = history.commit(tree=tree)
    history.git(*signed, "tag", "-a", "inner", "-m", "inner", first)
    history.git(*signed, "tag", "-a", "v1", "-m", "outer", "inner")
    (history.path / "HEAD").write_text("ref: refs/tags/v1\n")
    assert sync(history.path).commits_written == 1
    heads = "select ref, head_hash, mailmap_hash is not null from public.repository_heads"
    assert connection.execute(heads).fetchall() == [("refs/tags/v1", first, True)]
    assert sync(history.path).walk is Walk.NOTHING
    second = history.commit(b"two\n", parents=[first], tree=tree)
    history.git(*signed, "tag", "-f", "-a", "v1", "-m", "moved", second)
    (history.path / "HEAD").write_text(history.git("rev-parse", "v1") + "\n")
    assert sync(history.path).commits_written == 1
    assert connection.execute(heads).fetchall() == [("HEAD", second, True)]
    history.git(*signed, "tag", "-a", "tree", "-m", "no commit", history.files({"a": b"1"}))
    (history.path / "HEAD").write_text("ref: refs/tags/tree\n")
    with pytest.raises(DefaultBranchError, match="refs/tags/tree"):
        sync(history.path)


def test_a_head_without_commits_beside_branches_with_some_is_no_empty_repository(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    first = history.commit()
    for number in range(7):
        history.point(first, f"branch-{number}")
    with pytest.raises(DefaultBranchError, match=r"branch-0, .* and more\. Point HEAD"):
        sync(history.path)
    history.git("symbolic-ref", "HEAD", "refs/heads/branch-3")
    assert sync(history.path).commits_written == 1


@pytest.mark.parametrize("ref", ["refs/tags/v1", "refs/pull/7/head", "refs/changes/01/1/1"])
def test_commits_under_other_names_than_branches_are_no_empty_repository(
    sync: Sync, history: History, ref: str
) -> None:
    history.git("update-ref", ref, history.commit())
    with pytest.raises(DefaultBranchError, match=ref.removeprefix("refs/").removeprefix("tags/")):
        sync(history.path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-6]),
    "another": lambda path: path.write_bytes(zlib.compress(b"blob 6\0wrong\n")),
}


def test_a_damaged_object_of_the_source_is_told_with_its_id(
    sync: Sync, history: History, tmp_path: Path
) -> None:
    blob = history.blob(b"one\ntwo\n")
    tree = history.tree([("100644", "blob", blob, b"a")])
    first = history.commit()
    middle = history.commit(parents=[first], tree=tree)
    last = history.commit(parents=[middle])
    history.point(last)
    objects = {"blob": blob, "tree": tree, "middle": middle, "head": last}
    for number, (name, kind) in enumerate(product(DAMAGES, objects)):
        copy, damaged = tmp_path / f"{name}-{kind}.git", objects[kind]
        shutil.copytree(history.path, copy)
        path = copy / "objects" / damaged[:2] / damaged[2:]
        path.chmod(0o600)
        DAMAGES[name](path)
        with pytest.raises(PlatformError) as raised:
            sync(f"{('', 'file://')[(number + number // 4) % 2]}{copy}")
        assert isinstance(raised.value, SourceCorruptError), (name, kind, raised.value)
        assert damaged in str(raised.value), (name, kind, raised.value)


@pytest.mark.parametrize("kind", ["garbage", "cut"])
def test_a_damaged_pack_of_the_source_is_told_with_an_object(
    sync: Sync, history: History, kind: str
) -> None:
    noise = history.files({str(n): random.Random(n).randbytes(4_000) for n in range(5)})
    history.point(history.commit(tree=noise))
    history.git("gc", "--quiet")
    (pack,) = (history.path / "objects" / "pack").glob("*.pack")
    content = bytearray(pack.read_bytes())
    if kind == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    pack.chmod(0o600)
    pack.write_bytes(content)
    with pytest.raises(SourceCorruptError, match=r"its object [0-9a-f]{40} is missing or damaged"):
        sync(history.path)


def test_dates_of_1970_and_of_the_future_are_kept(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    old = history.commit(author="A <a@x> 0 +0000")
    future = history.commit(parents=[old], author="A <a@x> 4102444800 +0000")
    absurd = history.commit(parents=[future], author="A <a@x> 99999999999999999 +0000")
    history.point(absurd)
    sync(history.path)
    assert commit_row(connection, old)["commit_date"].year == 1970  # type: ignore[attr-defined]
    assert commit_row(connection, future)["commit_date"].year == 2100  # type: ignore[attr-defined]
    row = commit_row(connection, absurd)
    assert row["is_date_clamped"] is True
    assert row["author_epoch_seconds"] == 99999999999999999


def test_octopus_merges_and_several_roots_keep_all_parents(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    roots = [
        history.commit(f"root {n}\n".encode(), tree=history.files({f"{n}.txt": b"1\n2\n"}))
        for n in range(3)
    ]
    together = history.files({f"{n}.txt": b"1\n2\n" for n in range(3)})
    octopus = history.commit(b"octopus\n", parents=roots, tree=together)
    history.point(octopus)
    assert sync(history.path).commits_written == 4
    row = commit_row(connection, octopus)
    assert row["parent_hashes"] == roots
    assert (row["lines_added"], row["files_changed"]) == (4, 2)


def test_odd_paths_binaries_submodules_and_renames_are_counted(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    text, binary = history.blob(b"one\ntwo\nthree\nfour\n"), history.blob(b"\0\1\2")
    first = history.commit(
        tree=history.tree(
            [
                ("100644", "blob", text, b"tab\there"),
                ("100644", "blob", text, b"new\nline"),
                ("100644", "blob", text, b'quote"'),
                ("100644", "blob", text, b"1\t2\tlike numstat"),
                ("100644", "blob", text, b"\xff\xfe"),
                ("100644", "blob", binary, b"data.bin"),
                ("160000", "commit", "1" * 40, b"vendored"),
            ]
        )
    )
    renamed = history.commit(
        parents=[first], tree=history.tree([("100644", "blob", text, b"moved\there")])
    )
    history.point(renamed)
    sync(history.path)
    row = commit_row(connection, first)
    assert (row["files_changed"], row["binary_files_changed"]) == (7, 1)
    assert row["lines_added"] == 5 * 4 + 1
    loaded = {
        commit: (row["lines_added"], row["lines_deleted"], row["files_changed"])
        for commit in (first, renamed)
        if (row := commit_row(connection, commit))
    }
    assert loaded == numstat_by_commit(history)


def by_class(connection: psycopg.Connection, commit_hash: str) -> dict[str, tuple[object, object]]:
    """Lines added and deleted: of each class that is not own, and of all."""
    row = commit_row(connection, commit_hash)
    of_class = {
        kind: (row[f"lines_added_{kind}"], row[f"lines_deleted_{kind}"])
        for kind in ("vendored", "generated", "locked")
    }
    return {"all": (row["lines_added"], row["lines_deleted"])} | of_class


def test_lines_are_told_by_the_class_of_their_file_as_the_head_has_it(
    connection: psycopg.Connection, sync: Sync, history: History, tmp_path: Path
) -> None:
    names = {
        b"own.py": 1, b"go.sum": 2, b"a/yarn.lock": 4, b"x/app.min.js": 8, b"third_party/lib.c": 16,
        b"schema/made.py": 32, b"theirs/deep/er.c": 64, b"kept/node_modules/ours.js": 128,
        b"kept.lock": 256, b"od\nd \xff.made": 512, b"sub/made.txt": 1024,
        b".github/made.yml": 2048, b"bom/a.h": 4096, b"far/a.h": 8192,
    }  # fmt: skip
    blobs = {path: history.blob(b"x\n" * lines) for path, lines in names.items()}
    flat = {path: ("100644", "blob", blob) for path, blob in blobs.items()}
    first = history.commit(tree=history.nested(flat))
    history.point(first)
    sync(history.path)
    assert by_class(connection, first) == {
        "all": (16383, 0), "vendored": (16 + 128, 0), "generated": (8, 0),
        "locked": (2 + 4 + 256, 0),
    }  # fmt: skip
    told = {
        b".gitattributes": b"[attr]made linguist-generated\nschema/** made\n*.made made\n"
        b"theirs/** linguist-vendored=true\nkept/** linguist-vendored=false\n"
        b"kept.lock -linguist-generated\n.github/* linguist-generated\nthird_party/** text\n",
        b"sub/.gitattributes": b"made.* linguist-generated\n",
        # Behind a mark of the byte order, and behind much else.
        b"bom/.gitattributes": b"\xef\xbb\xbf*.h linguist-vendored\n",
        b"far/.gitattributes": b"# x\n" * 300_000 + b"*.h linguist-generated\n",
        b".git/.gitattributes": b"* linguist-vendored\n",
        b"a/../.gitattributes": b"* linguist-vendored\n",
    }
    files = {path: ("100644", "blob", history.blob(text)) for path, text in told.items()}
    marked = history.commit(b"mark\n", parents=[first], tree=history.nested({**flat, **files}))
    history.point(marked)
    assert sync(history.path).walk is Walk.FULL
    assert by_class(connection, first) == {
        "all": (16383, 0), "vendored": (16 + 64 + 4096, 0),
        "generated": (8 + 32 + 512 + 1024 + 2048 + 8192, 0), "locked": (2 + 4, 0),
    }  # fmt: skip
    moved = {
        b"vendor/own.py" if path == b"own.py" else path: entry
        for path, entry in flat.items()
        if path != b"go.sum"
    }
    last = history.commit(b"move\n", parents=[marked], tree=history.nested({**moved, **files}))
    history.point(last)
    assert sync(history.path).walk is Walk.DELTA
    assert by_class(connection, last) == {
        "all": (0, 2), "vendored": (0, 0), "generated": (0, 0), "locked": (0, 2),
    }  # fmt: skip
    grown = contents(connection)["commits"]
    connection.execute("truncate public.repositories, public.contributors restart identity cascade")
    sync(history.path)
    assert contents(connection)["commits"] == grown


@pytest.mark.parametrize("before", [0, CHUNK - 5, CHUNK, 3 * CHUNK])
def test_attributes_are_heard_wherever_they_stand_in_a_file(before: int) -> None:
    blob = b"1" * 40
    text = b"#" * before + b"linguist-vendored\n"
    batch = io.BytesIO(b"%s blob %d\n%s\n" % (blob, len(text), text))
    assert speaks_to_linguist(batch, [(blob, b".gitattributes")])
    assert batch.read() == b""


def test_a_shallow_repository_leaves_the_counts_of_its_edge_open(
    connection: psycopg.Connection, sync: Sync, history: History, tmp_path: Path
) -> None:
    commits = [history.commit(tree=history.files({"a": b"1\n"}))]
    for number in range(2, 6):
        content = b"".join(b"%d\n" % line for line in range(number))
        commits.append(history.commit(parents=[commits[-1]], tree=history.files({"a": content})))
    history.point(commits[-1])
    shallow = tmp_path / "shallow.git"
    history.git("clone", "--quiet", "--bare", "--depth=2", f"file://{history.path}", str(shallow))
    sync(shallow)
    edge = commit_row(connection, commits[-2])
    assert (edge["lines_added"], edge["files_changed"]) == (None, None)
    assert commit_row(connection, commits[-1])["lines_added"] == 1
    history.git("-C", str(shallow), "fetch", "--quiet", "--unshallow", f"file://{history.path}")
    assert sync(shallow).walk is Walk.FULL
    assert connection.execute(
        "select count(*), count(lines_added), count(orphaned_at) from public.commits"
    ).fetchone() == (5, 5, 0)


def test_a_repository_past_the_size_limit_fails_alone(sync: Sync, history: History) -> None:
    noise = random.Random(0).randbytes(3_000_000)
    history.point(history.commit(tree=history.files({"noise": noise})))
    with pytest.raises(RepositoryTooLargeError, match="max_mirror_megabytes"):
        sync(f"file://{history.path}", max_mirror_megabytes=1)


def test_a_missing_repository_is_named_with_a_remedy(sync: Sync, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError, match="nowhere") as caught:
        sync(tmp_path / "nowhere.git")
    assert "Check the spelling of the path" in str(caught.value)
    assert "token" not in str(caught.value)
    assert "Please make sure" not in str(caught.value), "git's words leave room for the remedy"


def test_what_is_no_repository_is_named(sync: Sync, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n")
    (tmp_path / "empty").write_text("gitdir: ")
    (tmp_path / "lost").write_text("gitdir: nowhere")
    (tmp_path / "large").write_bytes(bytes(2 << 20))
    for name in ("plain", "table.csv", "empty", "lost", "large"):
        with pytest.raises(
            RepositoryNotFoundError, match=f"(?s){name}.*Check the spelling of the path"
        ):
            sync(tmp_path / name)


def test_a_closed_port_is_transient(sync: Sync) -> None:
    with pytest.raises(RepositoryUnreachableError):
        sync("http://127.0.0.1:9/owner/name")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            "gnutls_handshake() failed: The TLS connection was non-properly terminated.",
            RepositoryUnreachableError,
        ),
        ("kex_exchange_identification: Connection closed by remote host", TransientError),
        ("ssh: connect to host h port 22: Network is unreachable", RepositoryUnreachableError),
        ("ssh: connect to host h port 22: No route to host", RepositoryUnreachableError),
        ("fatal: unable to access 'x': Operation timed out", RepositoryUnreachableError),
        ("fatal: write error: No space left on device", DiskFullError),
        ("fatal: unable to access 'http://h/o/corrupt-data/': Failed to connect", TransientError),
        ("fatal: unable to access 'http://h/o/missing blob/': HTTP 503", TransientError),
        (
            (
                "remote: fatal: pack-objects died of signal 9\nremote: aborting due to possible "
                "repository corruption on the remote side."
            ),
            RepositoryUnreachableError,
        ),
        ("fatal: something that nobody has seen yet", GitCommandError),
        ("", GitCommandError),
        ("SSL certificate problem: self-signed certificate", HostUntrustedError),
        (
            "server verification failed: certificate signer not trusted. (CAfile: none)",
            HostUntrustedError,
        ),
        ("Host key verification failed.", HostUntrustedError),
        ("fatal: detected dubious ownership in repository at '/x'", FolderNotOursError),
        ("remote: Repository not found.", RepositoryNotFoundError),
        (
            (
                "remote: ERROR: The project is not here or you don't have permission to view it.\n"
                "fatal: repository 'https://gitlab.com/o/r/' not found"
            ),
            RepositoryNotFoundError,
        ),
        ("SSL certificate OpenSSL verify result: self-signed certificate (18)", HostUntrustedError),
        ("error setting certificate file: /x/ca.pem", HostUntrustedError),
        ("Problem with the SSL CA cert (path? access rights?)", HostUntrustedError),
        ("SSL peer certificate or SSH remote key was not OK", HostUntrustedError),
        (
            "The certificate chain was issued by an authority that is not trusted",
            HostUntrustedError,
        ),
        (
            (
                "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. "
                "Their offer: ssh-rsa\nfatal: Could not read from remote repository."
            ),
            HostUntrustedError,
        ),
    ],
)
def test_only_what_is_known_to_be_for_good_is_not_tried_again(
    message: str, error: type[PlatformError]
) -> None:
    told = failure("fetch", "https://h/o/r", 128, message.encode())
    assert isinstance(told, error)
    for_good = (HostUntrustedError, FolderNotOursError, RepositoryNotFoundError)
    assert isinstance(told, TransientError) == (error not in for_good)
    assert told.remedy


@pytest.mark.parametrize(
    "message",
    [
        "fatal: unable to access 'https://u:hunter2@mirror.example/o/r/': Failed to connect",
        "fatal: unable to access 'https://mirror.example/o/r/?token=hunter2': Failed to connect",
        "fatal: unable to access 'https://h/o/r/': Unsupported proxy syntax in 'http://u:hunter2@p'",
        "warning: redirecting to https://h/o/r;hunter2\nfatal: Failed to connect",
        "Could not resolve proxy: http://u:hun ter2@proxy:80",
        "fatal: unable to access 'https://h/o/r/': Unsupported proxy syntax in 'u:hunter2'",
        "fatal: unable to access 'https://h/o/r/': Could not resolve proxy: hunter2",
        "remote: use git clone u:hunter2@h:o/r",
    ],
)
def test_what_git_says_is_repeated_without_credentials(message: str) -> None:
    told = str(failure("fetch", "https://h/o/r", 128, message.encode()))
    assert "ter2" not in told
    assert "https://h/o/r" in told


def test_git_gets_the_authorities_that_the_remedy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", "/x/ca.pem")
    assert git_environment(None, "https://github.com")["GIT_SSL_CAINFO"] == "/x/ca.pem"


def test_a_new_repository_stays_in_the_schedule_through_a_failure_for_good(
    connection: psycopg.Connection,
) -> None:
    raw.register_repository(connection, "https://github.com/o/mistyped")
    for attempt in range(3):
        assert raw.known_urls(connection) == ["https://github.com/o/mistyped"], attempt
        raw.record_failure(
            connection, "https://github.com/o/mistyped", "not found", is_permanent=True
        )
        told = raw.left_failing(connection, raw.known_urls(connection), ())
        assert len(told) == 1
        assert "https://github.com/o/mistyped failed at its last attempt" in told[0]
        assert ("no run tries it again" in told[0]) == (attempt == 2)
    assert raw.known_urls(connection) == []
    assert not raw.left_failing(connection, [], ["https://github.com/o/mistyped"])
    raw.record_failure(connection, "https://github.com/o/mistyped", "network", is_permanent=False)
    assert raw.known_urls(connection) == ["https://github.com/o/mistyped"]
    assert not raw.left_failing(connection, [], ()), "it waits for the next run"


def test_of_many_repositories_that_failed_the_first_are_named(
    connection: psycopg.Connection,
) -> None:
    for number in range(13):
        url = f"https://github.com/o/r{number}"
        raw.register_repository(connection, url)
        raw.record_failure(connection, url, "fatal: no\n  such repository", is_permanent=True)
    told = raw.left_failing(connection, raw.known_urls(connection), ["https://github.com/o/r0"])
    assert [line.split()[0] for line in told] == [
        *(f"https://github.com/o/r{number}" for number in range(1, 11)),
        "2",
    ]
    assert all("fatal: no such repository - " in line for line in told[:-1])


def test_addresses_kept_before_they_had_one_spelling_get_it(connection: psycopg.Connection) -> None:
    kept = [
        "http://www.GitHub.com:80/Octo/Tool.git",
        "ssh://git@github.com/octo/other.git",
        "file:///srv/git/tool.git",
        "https://gitlab.example/Octo/Tool.git",
        "https://github.com/octo/twice",
        "https://github.com/Octo/Twice.git",
    ]
    connection.execute("alter table public.repositories disable trigger complete_repository")
    connection.cursor().executemany(
        "insert into public.repositories (url) values (%s)", [(url,) for url in kept]
    )
    raw.tidy_addresses(connection)
    found = connection.execute("select url from public.repositories order by id").fetchall()
    assert [url for (url,) in found] == [
        "https://github.com/octo/tool",
        "https://github.com/octo/other",
        "/srv/git/tool.git",
        "https://gitlab.example/Octo/Tool.git",
        "https://github.com/octo/twice",
    ]


class _Host(BaseHTTPRequestHandler):
    """A git host that asks for a login, breaks off or fails, by path."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        type(self).seen.append(self.headers.get("Authorization"))
        status = int(self.path.split("/")[1])
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LoginRequiredError),
        (403, LoginRequiredError),
        (404, RepositoryNotFoundError),
        (429, RepositoryUnreachableError),
        (500, RepositoryUnreachableError),
        (503, RepositoryUnreachableError),
    ],
)
def test_a_host_that_refuses_never_prompts(
    sync: Sync, host: str, status: int, error: type[PlatformError]
) -> None:
    with pytest.raises(error):
        sync(f"{host}/{status}/name")


def test_a_token_goes_to_github_only_and_is_stored_nowhere(
    history: History, tmp_path: Path, host: str
) -> None:
    history.point(history.commit())
    limits = source.GitLimits(60, 10**9, 1)
    token = "ghp_secretsecret"
    forms = (token.encode(), base64.b64encode(f"x-access-token:{token}".encode()))
    with source.open_mirror(str(history.path), tmp_path / "mirrors", limits, token) as mirror:
        assert mirror.fetch() is not None
        stored = [path for path in mirror.path.parent.rglob("*") if path.is_file()]
        assert stored
        for path in stored:
            assert not any(form in path.read_bytes() for form in forms)
    _Host.seen.clear()
    url = f"{host}/404/name"
    with (
        source.open_mirror(url, tmp_path / "mirrors", limits, token) as mirror,
        pytest.raises(RepositoryNotFoundError),
    ):
        mirror.fetch()
    assert set(_Host.seen) == {None}


def test_a_local_path_that_runs_commands_is_not_followed(sync: Sync, tmp_path: Path) -> None:
    with pytest.raises(PlatformError):
        sync(f"ext::touch {tmp_path}/owned")
    assert not (tmp_path / "owned").exists()
