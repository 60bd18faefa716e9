"""What a checkout tells of its supply chain, and of secrets in it; each fault is planted here."""

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deployments.audit import LOCKS, main
from tests.ports import own_ports

HASHED = "--hash=sha256:" + "a" * 64
WORKFLOW = """
on: [push, pull_request]
permissions: {contents: read}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@COMMIT
  release:
    if: startsWith(github.ref, 'refs/tags/v')
    permissions: {packages: write}
    steps: [{run: make}]
""".replace("COMMIT", "1" * 40)
WORKFLOW_FILE = ".github/workflows/ci.yml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        LOCKS[0]: f"# made by uv\nfirst==1.0 ; python_version > '3' \\\n    {HASHED}\n",
        LOCKS[1]: f"first==1.0 \\\n    {HASHED}\n",
        WORKFLOW_FILE: WORKFLOW,
        "README.md": "postgresql://user:password@host:5432/db, postgresql://ann:a-long-password@db.example.org",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A change")


def audit(root: Path, *options: str) -> int:
    return main(["--root", str(root), *(options or ("--advisories", "skip"))])


def test_this_repository_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--advisories", "skip"]) == 0, capsys.readouterr().out


def test_a_clean_checkout_has_no_findings(checkout: Path) -> None:
    assert audit(checkout, "--history", "--advisories", "skip") == 0


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (LOCKS[0], f" \\\n    {HASHED}", "", "first has no hashes"),
        (LOCKS[0], "first==1.0", "first>=1.0", "is not one version"),
        (LOCKS[0], "first==1.0 ;", "first @ git+https://x/y ;", "first is not one version"),
        (LOCKS[1], "first==1.0", "first==1.1", "first is another version"),
        (LOCKS[1], "first==1.0", "second==1.0", "second is another version"),
        (WORKFLOW_FILE, "1" * 40, "v4", "actions/checkout@v4 is not named by its commit"),
        (WORKFLOW_FILE, "permissions: {contents: read}", "", "has no `permissions`"),
        (WORKFLOW_FILE, "contents: read", "packages: write", "the workflow may write"),
        (WORKFLOW_FILE, "{contents: read}", "write-all", "the workflow may write"),
        (WORKFLOW_FILE, "if: startsWith(", "if: true || startsWith(", "the job release may write"),
        (WORKFLOW_FILE, "if: startsWith(", "if: github.actor && startsWith(", "job release may"),
        (WORKFLOW_FILE, "    if: startsWith(github.ref, 'refs/tags/v')\n", "", "job release may"),
    ],
)
def test_a_planted_fault_is_found(
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    before: str,
    after: str,
    said: str,
) -> None:
    path = checkout / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert audit(checkout) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "credential",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "-----BEGIN PRIVATE " + "KEY-----",
        "AKIA" + "Q" * 16,
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 30,
        "glpat-" + "a1" * 10,
        "xoxb-" + "123456789012",
        "AIza" + "a1" * 17 + "b",
        "sk-ant-" + "a1" * 20,
        "pnu_" + "a1" * 18,
        "whsec_" + "YWJj" * 8,
        "eyJ" + "a1" * 10 + ".eyJ" + "b2" * 10 + "." + "c3" * 10,
        "postgresql+asyncpg://ann:" + "0f3a9c1b7d2e" + "@10.0.0.7/marts",
    ],
)
def test_a_credential_is_found_and_not_repeated(
    checkout: Path, capsys: pytest.CaptureFixture[str], credential: str
) -> None:
    (checkout / "notes.txt").write_text(f"nothing here\nvalue = '{credential}'\n")
    commit(checkout)
    assert audit(checkout) == 1
    said = capsys.readouterr().out
    assert "notes.txt:2: a" in said
    assert credential not in said
    (checkout / "notes.txt").unlink()
    commit(checkout)
    assert audit(checkout) == 0
    assert audit(checkout, "--history", "--advisories", "skip") == 1
    assert credential not in capsys.readouterr().out


class _Database(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        results = [
            {"vulns": [{"id": "PYSEC-1"}]} if query["version"] == "1.0" else {}
            for query in asked["queries"]
        ]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def advisories() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Database)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_known_vulnerabilities_are_told_and_an_unasked_database_is_no_clean_answer(
    checkout: Path, advisories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(checkout, "--database", advisories) == 1
    assert "first 1.0: PYSEC-1" in capsys.readouterr().out
    nobody = f"http://127.0.0.1:{next(own_ports(24_900))}"
    assert audit(checkout, "--database", nobody) == 0
    assert "nobody looked for known vulnerabilities: ConnectError" in capsys.readouterr().out
    assert audit(checkout, "--database", nobody, "--advisories", "require") == 1
