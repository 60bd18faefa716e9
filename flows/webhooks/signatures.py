"""Who sent a delivery: signatures and tokens, checked against several active secrets.

What a sender claims is read from the headers before a body is waited for; the body then shows
whether it is so. Every comparison takes the same time whatever is wrong, and nothing but ASCII
reaches it.
"""

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flows.webhooks.secrets import STANDARD_KEY_PREFIX, key_of_base64
from flows.webhooks.settings import HmacScheme, Scheme, StandardScheme, TokenScheme

LONGEST_SIGNATURE = 4096
# The names of Standard Webhooks, and those that its authors' own libraries used before.
STANDARD_NAMES = ("webhook", "svix")


class SignatureError(Exception):
    """The sender did not show who it is. ``reason`` is one of a few words, fit for a metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Signed:
    """A delivery whose sender is known; ``delivery_id`` if one is under the signature."""

    delivery_id: str | None = None


@dataclass(frozen=True)
class Claim:
    """Signatures of which one must be that of ``before`` and the body, made with a secret."""

    signatures: Sequence[bytes]
    before: bytes = b""
    delivery_id: str | None = None

    def verify(self, secrets: Sequence[str], body: bytes) -> Signed:
        """Check a delivery.

        Args:
            secrets: the active ones; any may have been used.
            body: as it came, before anything else is done with it.

        Raises:
            SignatureError: none of the signatures is right.
        """
        signed = self.before + body
        keys = dict.fromkeys(key for secret in secrets for key in _keys(secret))
        # Who is right need not wait for the other keys; who is wrong waits for all.
        _require(any(self._is_made_with(key, signed) for key in keys))
        return Signed(self.delivery_id)

    def _is_made_with(self, key: bytes, signed: bytes) -> bool:
        made = hmac.digest(key, signed, "sha256")
        found = [hmac.compare_digest(made, each) for each in self.signatures]
        return any(found)


def claim(
    schemes: Sequence[Scheme], secrets: Sequence[str], headers: Mapping[str, str], now: float
) -> Claim | Signed:
    """What the headers say of the sender: all there is to say if it showed a token.

    The first scheme whose header is there decides alone.

    Args:
        secrets: the active ones.
        headers: names in lower case.
        now: seconds since 1970.

    Raises:
        SignatureError: there is no signature, or none that can be right.
    """
    for scheme in schemes:
        match scheme:
            case HmacScheme() if scheme.header.lower() in headers:
                return _claim_of_hmac(scheme, headers[scheme.header.lower()])
            case StandardScheme():
                for name in STANDARD_NAMES:
                    if f"{name}-signature" in headers:
                        return _claim_of_standard(scheme, name, headers, now)
            case TokenScheme() if scheme.header.lower() in headers:
                return _verify_token(scheme, secrets, headers[scheme.header.lower()])
    raise SignatureError("missing")


def names(schemes: Sequence[Scheme]) -> frozenset[str]:
    """The headers that decide who a sender is, in lower case."""
    found: set[str] = set()
    for scheme in schemes:
        if isinstance(scheme, StandardScheme):
            parts = ("id", "timestamp", "signature")
            found.update(f"{name}-{part}" for name in STANDARD_NAMES for part in parts)
        else:
            found.add(scheme.header.lower())
    return frozenset(found)


def _claim_of_hmac(scheme: HmacScheme, given: str) -> Claim:
    if not given.startswith(scheme.prefix):
        raise SignatureError("malformed")
    text = given[len(scheme.prefix) :]
    return Claim([_bytes_of_hex(text) if scheme.encoding == "hex" else _bytes_of_base64(text)])


def _claim_of_standard(
    scheme: StandardScheme, name: str, headers: Mapping[str, str], now: float
) -> Claim:
    given = headers[f"{name}-signature"]
    identity, timestamp = headers.get(f"{name}-id"), headers.get(f"{name}-timestamp", "")
    if not identity or not identity.isascii() or "." in identity or len(given) > LONGEST_SIGNATURE:
        raise SignatureError("malformed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise SignatureError("malformed")
    if abs(now - int(timestamp)) > scheme.tolerance_seconds:
        raise SignatureError("expired")
    signatures = []
    for version, _, text in (part.partition(",") for part in given.split(" ")):
        # Of another version, or cut short: it says nothing of the others.
        with suppress(SignatureError):
            signatures += [_bytes_of_base64(text)] if version == "v1" else []
    if not signatures:
        raise SignatureError("malformed")
    return Claim(signatures, f"{identity}.{timestamp}.".encode(), identity)


def _verify_token(scheme: TokenScheme, secrets: Sequence[str], given: str) -> Signed:
    if not given.isascii() or given[: len(scheme.prefix)].lower() != scheme.prefix.lower():
        raise SignatureError("malformed")
    shown = given[len(scheme.prefix) :].encode()
    found = [hmac.compare_digest(shown, secret.encode()) for secret in secrets]
    return _require(any(found))


def _require(is_right: bool) -> Signed:
    if not is_right:
        raise SignatureError("wrong")
    return Signed()


def _keys(secret: str) -> Iterator[bytes]:
    """What a sender may have made of a secret: its text, or what the text is the base64 of."""
    yield secret.encode()
    key = key_of_base64(secret.removeprefix(STANDARD_KEY_PREFIX))
    if key is not None:
        yield key


def _bytes_of_hex(text: str) -> bytes:
    if len(text) != 64 or not text.isascii():
        raise SignatureError("malformed")
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        raise SignatureError("malformed") from None


def _bytes_of_base64(text: str) -> bytes:
    if len(text) != 44 or not text.isascii():
        raise SignatureError("malformed")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SignatureError("malformed") from None
