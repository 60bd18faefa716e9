"""Blocks and automations end with the module of tests that made them, but for blocks of what
outlives it.

Prefect is imported when a test needs it: it reads its settings then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class LastingBlocks:
    """Blocks on the session's server that no module's end removes."""

    ids: set[UUID]

    def present(self) -> set[UUID]:
        """All blocks that are there now."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            return {block.id for block in client.read_block_documents()}

    @contextmanager
    def collected(self) -> Iterator[None]:
        """What is saved for the first time in here lasts, whichever module comes upon it first."""
        before = self.present()
        yield
        self.ids.update(self.present() - before)

    def end_all_but(self, kept: set[UUID]) -> None:
        """Remove every block but these and those that last."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            for block in self.present() - kept - self.ids:
                client.delete_block_document(block)


def end_automations() -> None:
    """Remove every automation from the session's server."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/automations/filter", json={}).json()
        for each in found:
            client.request("DELETE", "/automations/{id}", path_params={"id": each["id"]})
