"""Who sent a delivery: signatures and tokens, checked against several active secrets.

Every comparison takes the same time whatever is wrong, and nothing but ASCII reaches it.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.webhooks.settings import HmacScheme, Scheme, StandardScheme, TokenScheme

STANDARD_KEY_PREFIX = "whsec_"
LONGEST_SIGNATURE = 4096


class SignatureError(Exception):
    """The sender did not show who it is. ``reason`` is one of a few words, fit for a metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Signed:
    """A delivery whose sender is known; ``delivery_id`` if one is under the signature."""

    delivery_id: str | None = None


def deciding(schemes: Sequence[Scheme], headers: Mapping[str, str]) -> Scheme:
    """The first scheme whose header is there; it alone decides.

    Args:
        headers: names in lower case.

    Raises:
        SignatureError: there is none.
    """
    for scheme in schemes:
        name = "webhook-signature" if isinstance(scheme, StandardScheme) else scheme.header.lower()
        if name in headers:
            return scheme
    raise SignatureError("missing")


def verify(
    scheme: Scheme, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float
) -> Signed:
    """Check a delivery.

    Args:
        secrets: the active ones; any may have been used.
        headers: names in lower case.
        body: as it came, before anything else is done with it; no matter for a token.
        now: seconds since 1970.

    Raises:
        SignatureError: the check failed.
    """
    match scheme:
        case HmacScheme():
            return _verify_hmac(scheme, secrets, headers[scheme.header.lower()], body)
        case StandardScheme():
            return _verify_standard(scheme, secrets, headers, body, now)
        case TokenScheme():
            return _verify_token(scheme, secrets, headers[scheme.header.lower()])


def _verify_hmac(scheme: HmacScheme, secrets: Sequence[str], given: str, body: bytes) -> Signed:
    if not given.startswith(scheme.prefix):
        raise SignatureError("malformed")
    text = given[len(scheme.prefix) :]
    signature = _bytes_of_hex(text) if scheme.encoding == "hex" else _bytes_of_base64(text)
    return _require(_matches(secrets, body, [signature]))


def _verify_standard(
    scheme: StandardScheme,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> Signed:
    given = headers["webhook-signature"]
    identity, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not identity or not identity.isascii() or "." in identity or len(given) > LONGEST_SIGNATURE:
        raise SignatureError("malformed")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise SignatureError("malformed")
    if abs(now - int(timestamp)) > scheme.tolerance_seconds:
        raise SignatureError("expired")
    parts = [part.partition(",") for part in given.split(" ")]
    signatures = [_bytes_of_base64(text) for version, _, text in parts if version == "v1"]
    signed = f"{identity}.{timestamp}.".encode() + body
    _require(_matches(secrets, signed, signatures))
    return Signed(identity)


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


def _matches(secrets: Sequence[str], signed: bytes, signatures: Sequence[bytes]) -> bool:
    expected = [hmac.digest(_key(secret), signed, "sha256") for secret in secrets]
    found = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    return any(found)


def _key(secret: str) -> bytes:
    if secret.startswith(STANDARD_KEY_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(STANDARD_KEY_PREFIX), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()


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
