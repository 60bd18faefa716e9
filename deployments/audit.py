"""What a checkout can tell of its own supply chain and of secrets that were committed.

    python -m deployments.audit [--history] [--advisories require|ask|skip]

Without a network it checks that every requirement of the locks is one version with hashes, that
the image's lock names no other version than the development lock, that workflows name actions by
commit and give pull requests no right to write, and that no tracked file (``--history``: no commit)
holds what has the shape of a credential. Known vulnerabilities are in the Open Source
Vulnerabilities database alone: where it does not answer, it is said that nobody looked.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from deployments.local.paths import PROJECT_ROOT
from flows._shared.counted import counted
from flows._shared.yaml_keys import parse_yaml

LOCKS = ("requirements.lock", "deployments/image/requirements.lock")
ADVISORIES = "https://api.osv.dev"
ADVISORY_SECONDS = 30.0
ONE_REQUEST = 500

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
COMMIT = re.compile(r"[^@\s]+@[0-9a-f]{40}")
WRITE = "write"
FOR_TAGS_ALONE = re.compile(r"(\$\{\{\s*)?startsWith\(github\.ref, 'refs/tags/[^']*'\)(\s*\}\})?")
# Of tokens, only what its issuer gave a shape of its own.
CREDENTIALS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})"),
    "a token of GitLab": re.compile(r"\bglpat-[\w-]{20,}"),
    "a token of Slack": re.compile(r"\bxox[abeoprs]-[\w-]{10,}"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "a key of a model's provider": re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"),
    "a key of Prefect": re.compile(r"\bpn[ub]_[A-Za-z0-9]{30,}"),
    "a secret of Standard Webhooks": re.compile(r"\bwhsec_[A-Za-z0-9+/]{32,}={0,2}"),
    "a signed token": re.compile(r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{15,}"),
    "a password in an address": re.compile(
        r"\b[a-z][a-z0-9+]+://[^\s/:@{}$<>\"']+:[^\s/@{}$<>\"']{12,}@"
        r"(?!(?:[\w-]+\.)*(?:example|test|invalid|localhost)\b|127\.|host\b)"
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", action="store_true", help="look through every commit, too")
    parser.add_argument("--advisories", choices=("require", "ask", "skip"), default="ask")
    parser.add_argument("--root", type=Path, default=PROJECT_ROOT, help="of the checkout")
    parser.add_argument("--database", default=ADVISORIES, help="address of the vulnerabilities")
    options = parser.parse_args(arguments)
    root = options.root
    wrong = [*wrong_locks(root), *wrong_workflows(root), *leaked(tracked(root))]
    if options.history:
        wrong += leaked(history(root))
    asked = "nobody looked for known vulnerabilities: that was not asked for"
    if options.advisories != "skip":
        try:
            wrong += vulnerable(root, options.database)
            asked = f"{options.database} was asked for known vulnerabilities"
        except httpx.HTTPError as error:
            asked = f"nobody looked for known vulnerabilities: {type(error).__name__}"
            if options.advisories == "require":
                wrong.append(f"{options.database}: does not answer ({type(error).__name__})")
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{counted(len(wrong), 'finding')}; {asked}\n")
    return 1 if wrong else 0


def locked(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Name, version (empty if it has none) and whether it has hashes, of each requirement."""
    joined = path.read_text().replace("\\\n", " ")
    for line in joined.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = REQUIREMENT.match(line)
        name = found["name"] if found else line.split()[0]
        yield (
            name.lower().replace("_", "-"),
            found["version"] if found else "",
            bool(HASH.search(line)),
        )


def wrong_locks(root: Path) -> Iterator[str]:
    versions: dict[str, dict[str, set[str]]] = {}
    for lock in LOCKS:
        of_lock = versions.setdefault(lock, {})
        for name, version, has_hashes in locked(root / lock):
            of_lock.setdefault(name, set()).add(version)
            if not version:
                yield f"{lock}: {name} is not one version"
            elif not has_hashes:
                yield f"{lock}: {name} has no hashes"
    development, image = (versions[lock] for lock in LOCKS)
    for name, found in sorted(image.items()):
        if not found <= development.get(name, set()):
            yield f"{LOCKS[1]}: {name} is another version than in {LOCKS[0]}"


def wrong_workflows(root: Path) -> Iterator[str]:
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        text = path.read_text()
        document: dict[Any, Any] = parse_yaml(text, path.name)
        place = path.relative_to(root)
        for used in re.findall(r"^\s*(?:-\s+)?uses:\s*['\"]?([^\s'\"#]+)", text, re.MULTILINE):
            if not used.startswith("./") and not COMMIT.fullmatch(used):
                yield f"{place}: {used} is not named by its commit"
        if "permissions" not in document:
            yield f"{place}: has no `permissions`, and so all that the repository gives"
        # YAML 1.1 reads the key `on` as true.
        for job_name, may in _permissions(document):
            if "pull_request" in str(document.get(True, document.get("on"))) and _may_write(may):
                yield f"{place}: {job_name} may write on behalf of a pull request"


def _permissions(document: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    yield "the workflow", document.get("permissions")
    for name, job in document["jobs"].items():
        if not FOR_TAGS_ALONE.fullmatch(str(job.get("if", ""))):
            yield f"the job {name}", job.get("permissions")


def _may_write(permissions: Any) -> bool:
    given = permissions.values() if isinstance(permissions, dict) else (permissions,)
    return any(str(each).startswith(WRITE) for each in given)


def leaked(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The places of what looks like a credential, which is not repeated."""
    for place, line in lines:
        for what, shape in CREDENTIALS.items():
            if shape.search(line):
                yield f"{place}: {what}"


def tracked(root: Path) -> Iterator[tuple[str, str]]:
    for name in _git(root, "ls-files", "-z").split("\0"):
        path = root / name
        if name and path.is_file() and not path.is_symlink():
            for number, line in enumerate(path.read_bytes().splitlines(), 1):
                yield f"{name}:{number}", line.decode(errors="replace")


def history(root: Path) -> Iterator[tuple[str, str]]:
    """The lines that any commit of any branch added."""
    commit, name = "", ""
    text = _git(root, "log", "--all", "--patch", "--unified=0", "--no-textconv", "--format=%x00%h")
    for line in text.splitlines():
        if line.startswith("\0"):
            commit = line[1:]
        elif line.startswith("+++ b/"):
            name = line[len("+++ b/") :]
        elif line.startswith("+"):
            yield f"{commit}:{name}", line[1:]


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode(errors="replace")


def vulnerable(root: Path, database: str) -> list[str]:
    """What the database knows of the locked versions.

    Raises:
        httpx.HTTPError: it does not answer, or not with what was asked for.
    """
    wanted = sorted({(name, version) for lock in LOCKS for name, version, _ in locked(root / lock)})
    found = []
    with httpx.Client(base_url=database, timeout=ADVISORY_SECONDS) as client:
        for first in range(0, len(wanted), ONE_REQUEST):
            some = wanted[first : first + ONE_REQUEST]
            queries = [
                {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
                for name, version in some
            ]
            answer = client.post("/v1/querybatch", json={"queries": queries}).raise_for_status()
            for (name, version), known in zip(some, answer.json()["results"], strict=True):
                ids = ", ".join(each["id"] for each in known.get("vulns", []))
                found += [f"{name} {version}: {ids}"] if ids else []
    return found


if __name__ == "__main__":
    sys.exit(main())
