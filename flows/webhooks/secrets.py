"""Secrets and the database's address, from blocks, read again while the receiver runs."""

import base64
import binascii
import json
import logging
import re
import threading
from collections.abc import Mapping, Sequence

from flows._shared.errors import PermanentError, TransientError
from flows._shared.orchestration.credentials import MissingBlockError, postgres_url, secret_value
from flows.webhooks.settings import ANYONE, Source

STANDARD_KEY_PREFIX = "whsec_"
COMMENT = "#"
SCOPED = re.compile(r"(?P<paths>/[\w./-]+(?:[ \t]*,[ \t]*/[\w./-]+)*)[ \t]+(?P<secret>\S+)")
# Shorter ones are guessed, or are no secrets: a word that was left where one should stand.
SHORTEST = 16


class Secrets:
    """The active secrets of each source.

    Args:
        sources: those that are served.
        database_block: of the inbox.
        refresh_seconds: how often the blocks are read.
    """

    def __init__(
        self, sources: Sequence[Source], database_block: str, refresh_seconds: float
    ) -> None:
        self._sources = sources
        self._database_block = database_block
        self._refresh_seconds = refresh_seconds
        self._secrets: Mapping[str, tuple[str, ...]] = {}
        self._database_url = ""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="secrets", daemon=True)
        self._log = logging.getLogger("webhooks.secrets")

    def load(self) -> None:
        """Read every block.

        Raises:
            PermanentError: a source has no secret and does not say that anyone may post.
            TransientError: the Prefect server does not answer.
        """
        self._database_url = postgres_url(self._database_block)
        self._secrets = {source.name: _active(source) for source in self._sources}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def of(self, source: Source) -> tuple[str, ...]:
        """The active secrets; empty for a source that needs none, or whose block is gone."""
        return self._secrets.get(source.name, ())

    def opening(self, source: Source, path: str) -> tuple[str, ...]:
        """Those of them that open a path: all but the ones that are told to open others."""
        told = map(scoped, self.of(source))
        return tuple(secret for paths, secret in told if not paths or path in paths)

    def database_url(self) -> str:
        return self._database_url

    def _refresh(self) -> None:
        while not self._is_over.wait(self._refresh_seconds):
            try:
                self._database_url = postgres_url(self._database_block)
            except (PermanentError, TransientError) as error:
                self._log.warning("block not read", extra={"error": type(error).__name__})
            for source in self._sources:
                self._refresh_one(source)

    def _refresh_one(self, source: Source) -> None:
        try:
            active = _active(source)
        except TransientError as error:
            self._log.warning("block not read", extra={"error": type(error).__name__})
            return
        except PermanentError:
            # Whoever removed the block revoked the secret: deliveries are no longer taken.
            self._log.exception("a source has lost its secret", extra={"source": source.name})
            active = ()
        if active != self.of(source):
            self._log.info("secrets changed", extra={"source": source.name, "active": len(active)})
            self._secrets = {**self._secrets, source.name: active}


def _active(source: Source) -> tuple[str, ...]:
    if source.unsigned:
        return ()
    try:
        active = parse(secret_value(source.block))
    except MissingBlockError:
        active = ()
    served = {endpoint.path for endpoint in source.endpoints}
    if unknown := sorted({path for each in active for path in scoped(each)[0]} - served):
        raise PermanentError(
            f"reading the secrets of the source {source.name}",
            f"one opens {', '.join(unknown)}, which this source does not serve",
            f"It serves {', '.join(sorted(served))}",
        )
    if not active:
        raise PermanentError(
            f"reading the secrets of the source {source.name}",
            f"the block secret/{source.block} is missing or holds none",
            f"Register it with `flows blocks register webhooks`, leave {source.name} out of "
            f"the setting `enabled`, or say in its settings `unsigned: {ANYONE}`",
        )
    return active


def scoped(told: str) -> tuple[tuple[str, ...], str]:
    """The paths that a secret opens, all if there are none, and the secret itself.

    `/webhook/scout-transactions,/webhook/scout-products <secret>` opens these two.
    """
    match = SCOPED.fullmatch(told) if told.startswith("/") else None
    if match is None:
        return (), told
    return tuple(path.strip() for path in match["paths"].split(",")), match["secret"]


def parse(value: str) -> tuple[str, ...]:
    """The secrets in a block's text: a JSON list of texts, or one a line beside comments.

    Each may begin with the paths that it opens; see `scoped`.

    Raises:
        PermanentError: a JSON list holds something else, or a secret is too short to be one.
    """
    found = _listed(value.strip())
    if any(_length(scoped(each)[1]) < SHORTEST for each in found):
        raise PermanentError(
            "reading a list of secrets",
            f"one of the {len(found)} has fewer than {SHORTEST} characters, or bytes of a key",
            "Make one with `openssl rand -hex 32`, and give it to the sender, too",
        )
    return found


def key_of_base64(text: str) -> bytes | None:
    """The key that a text is the base64 of, with or without its padding; None if of no key."""
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= SHORTEST else None


def _length(secret: str) -> int:
    """Of the key, where the secret says that it is the base64 of one."""
    if not secret.startswith(STANDARD_KEY_PREFIX):
        return len(secret.strip())
    return len(key_of_base64(secret.removeprefix(STANDARD_KEY_PREFIX)) or b"")


def _listed(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        lines = [line.strip() for line in text.splitlines()]
        return tuple(line for line in lines if line and not line.startswith(COMMENT))
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    is_list = isinstance(found, list) and all(isinstance(each, str) and each for each in found)
    if not is_list:
        raise PermanentError(
            "reading a list of secrets",
            "it begins with `[` and is no JSON list of texts",
            'Write it as ["new secret", "old secret"], or one secret a line',
        )
    return tuple(found)
