"""Every example payload that the authors of GitHub's webhook types collected."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.webhooks.harness import Running, github_headers, rows

PACKAGE = "@octokit/webhooks-examples@7.6.1"
EXAMPLES = 329


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """The event and the body of each."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder: Path = tmp_path_factory.mktemp("npm")
    packed = subprocess.run(
        [npm, "pack", PACKAGE, "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    if packed.returncode != 0:
        pytest.skip(f"npm cannot fetch {PACKAGE}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        (name,) = [
            name for name in package.getnames() if name.endswith("api.github.com/index.json")
        ]
        file = package.extractfile(name)
        assert file is not None
        events: list[dict[str, Any]] = json.load(io.TextIOWrapper(file))
    return [
        (event["name"], json.dumps(example, ensure_ascii=False).encode())
        for event in events
        for example in event["examples"]
    ]


def test_every_example_is_accepted_and_stored_byte_exact(
    receiver: Running, inbox_url: str, examples: list[tuple[str, bytes]]
) -> None:
    assert len(examples) == EXAMPLES
    sent = {}
    with httpx.Client(base_url=receiver.url, timeout=30) as client:
        for event, body in examples:
            headers = github_headers(body, event)
            answer = client.post("/webhook/github", content=body, headers=headers)
            assert (answer.status_code, answer.json()["outcome"]) == (202, "stored"), event
            sent[headers["X-GitHub-Delivery"]] = (event, body, json.loads(body))
    columns = "delivery_id, kind, body, payload"
    query = f"select {columns} from webhooks.deliveries where delivery_id = any(%s)"
    stored = {row[0]: row[1:] for row in rows(inbox_url, query, list(sent))}
    assert stored == sent
