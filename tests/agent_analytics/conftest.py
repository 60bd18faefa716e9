"""The receiver of the webhooks' tests: telemetry comes through it, too."""

from tests.webhooks.conftest import inbox_url, receiver

__all__ = ["inbox_url", "receiver"]
