"""What the headers of a request say, whatever they hold."""

import re
import uuid

from starlette.requests import Request

# Whatever else the headers hold may be a credential and is not kept.
KEPT_HEADERS = (
    "content-encoding",
    "idempotency-key",
    "svix-id",
    "svix-timestamp",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-batch-id",
    "x-github-delivery",
    "x-github-event",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-source",
)
KEPT_NAMES = {name.encode(): name for name in KEPT_HEADERS}
LONGEST_KEPT_HEADER = 1024
MOST_DIGITS = 18
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)')


def request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def told_length(request: Request) -> int:
    """The length that the headers tell, 0 if they tell none. Thousands of digits are no number."""
    digits = request.headers.get("content-length", "").lstrip("0")
    return int(digits[:MOST_DIGITS]) if digits.isascii() and digits.isdecimal() else 0


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_utf8(request: Request) -> bool:
    """Whether no parameter of the content type says that it is not, whichever place it has."""
    _, semicolon, rest = request.headers.get("content-type", "").lower().partition(";")
    parameters = semicolon + rest
    if "charset" not in parameters:
        return True
    is_well_formed = not PARAMETER.sub("", parameters).strip("; \t")
    return is_well_formed and all(
        not name.startswith("charset") or value.strip('"') in ("utf-8", "utf8")
        for name, value in PARAMETER.findall(parameters)
    )


def address(request: Request) -> str:
    return request.client.host if request.client else ""


def kept_headers(request: Request) -> dict[str, str]:
    """Of a header that is there twice the first."""
    found: dict[str, str] = {}
    for raw, value in request.headers.raw:
        name = KEPT_NAMES.get(raw)
        if name and name not in found:
            text = value.decode("latin-1")
            found[name] = text[:LONGEST_KEPT_HEADER].replace("\0", "\ufffd")
    return found
