"""A receiver as a process of its own, on a database of its own and the session's Prefect server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.postgres import EmbeddedPostgres
from tests.lasting_blocks import LastingBlocks
from tests.webhooks.harness import Running, register, start


@pytest.fixture(scope="package")
def inbox_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    yield postgres.create_database("test_webhooks")
    postgres.drop_database("test_webhooks")


@pytest.fixture(scope="package")
def receiver(
    inbox_url: str, lasting_blocks: LastingBlocks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The receiver that most tests post to; every built-in source and one made by settings."""
    with lasting_blocks.collected():
        register("session", inbox_url)
    folder: Path = tmp_path_factory.mktemp("receiver")
    running = start(
        folder, "session", header_seconds=4, body_seconds=4, trusted_proxies=["127.0.0.0/8"]
    )
    yield running
    running.stop()
