"""The tokens of a run: whose they are, and how each is spent. No token leaves this module but in
an Authorization header."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from flows._shared.outgoing import header_token
from flows.github_scraper.records import ApiConfigurationError
from flows.github_scraper.source.clock import Clock

APP_REMEDY = (
    "Register the block of `api.app_block` with a JSON object with `app_id`, `installation_id` "
    "and `private_key`"
)
# An installation token lives an hour; it is replaced this long before.
RENEW_BEFORE = timedelta(minutes=10)
# GitHub refuses a JWT from the future or valid for more than ten minutes.
JWT_BACKDATE = timedelta(seconds=60)
JWT_LIFE = timedelta(minutes=9)


class Credential:
    """One token. ``label`` names the block it came from, ``identity`` whom GitHub limits."""

    label: str
    identity: str

    def authorization(self) -> str:
        """The value of the Authorization header."""
        raise NotImplementedError


class PersonalToken(Credential):
    """A personal access token of one user.

    Raises:
        MalformedTokenError: no header may hold it.
    """

    def __init__(self, label: str, token: str) -> None:
        self.label = label
        self.identity = ""
        self._token = SecretStr(header_token(token, f"the block {label}"))

    def authorization(self) -> str:
        return f"Bearer {self._token.get_secret_value()}"

    @property
    def fingerprint(self) -> str:
        """Tells tokens apart inside this process; not stored anywhere."""
        return hashlib.sha256(self._token.get_secret_value().encode()).hexdigest()


class AppKey(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    app_id: int | str
    installation_id: int
    private_key: SecretStr


class Installation(Credential):
    """A GitHub App on one account. Its token is minted when needed, by one thread for all.

    Args:
        mint: posts to the given path with the given Authorization and returns the JSON answer.
    """

    def __init__(
        self, label: str, key: AppKey, mint: Callable[[str, str], dict[str, Any]], clock: Clock
    ) -> None:
        self.label = label
        self.identity = f"installation:{key.installation_id}"
        self._key = key
        self._mint = mint
        self._clock = clock
        self._lock = threading.Lock()
        self._token: SecretStr | None = None
        self._expires_at = datetime.min.replace(tzinfo=UTC)

    def authorization(self) -> str:
        with self._lock:
            if self._token is None or self._clock.now() >= self._expires_at - RENEW_BEFORE:
                path = f"/app/installations/{self._key.installation_id}/access_tokens"
                answer = self._mint(path, f"Bearer {self._assertion()}")
                self._token = SecretStr(str(answer["token"]))
                self._expires_at = datetime.fromisoformat(str(answer["expires_at"]))
            return f"Bearer {self._token.get_secret_value()}"

    def _assertion(self) -> str:
        now = self._clock.now()
        claims = {"iat": now - JWT_BACKDATE, "exp": now + JWT_LIFE, "iss": str(self._key.app_id)}
        try:
            return jwt.encode(claims, self._key.private_key.get_secret_value(), algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            # The message of the library may quote the key.
            raise ApiConfigurationError(
                f"Signing in with the GitHub App of the block {self.label}",
                "its private_key is not an RSA key in PEM form",
                APP_REMEDY,
            ) from None


def read_app_key(label: str, document: str) -> AppKey:
    """The content of an app block.

    Raises:
        ApiConfigurationError: it is not that JSON object; its content is not repeated.
    """
    try:
        return AppKey.model_validate_json(document)
    except ValidationError as error:
        fields = ", ".join(
            sorted({".".join(map(str, each["loc"])) or "JSON" for each in error.errors()})
        )
        raise ApiConfigurationError(
            f"Reading the GitHub App of the block {label}",
            f"its content does not fit ({fields})",
            APP_REMEDY,
        ) from None


class Pool:
    """The credentials of a run, and which of them a repository belongs to.

    Rejected ones are dropped for the rest of the run.
    """

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._by_identity: dict[str, Credential] = {}
        for credential in credentials:
            self._by_identity.setdefault(credential.identity, credential)

    def __len__(self) -> int:
        return len(self._by_identity)

    def order(self, key: str) -> list[str]:
        """All identities, the one that ``key`` sticks to first, then those that stand in for it.

        A new token moves only its own share of the keys.
        """

        def weight(identity: str) -> bytes:
            return hashlib.sha256(f"{identity}\0{key}".encode()).digest()

        return sorted(self._by_identity, key=weight)

    def __getitem__(self, identity: str) -> Credential:
        return self._by_identity[identity]

    def drop(self, identity: str) -> None:
        self._by_identity.pop(identity, None)


def user_identity(answer: httpx.Response) -> str:
    """Whom GitHub limits, from its answer to ``GET /user``."""
    return f"user:{answer.json()['id']}"
