"""What git and requests over HTTP are given besides an address: proxies and tokens.

A wrong one is refused before it is used, since libraries repeat it or end with an error of their
own.
"""

import os
import re
import ssl
from functools import lru_cache
from typing import Any

import httpx

from flows._shared.environment import PAST_PROXIES, PROXIES
from flows._shared.errors import PermanentError

LOGIN = r"(?:[^\s\x00-\x20/?#@%\\]|%[2-9a-f][0-9a-f])*"
READABLE = re.compile(
    rf"(?:socks4a?://|(?:(?:https?|socks5h?)://)?(?:{LOGIN}@)?)"
    r"(?:[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?/?",
    re.IGNORECASE,
)
TOKEN = re.compile(r"[!-~]+")


class ProxyAddressError(PermanentError):
    """What the environment names as a proxy is no address in which a login has its place."""


class MalformedTokenError(PermanentError):
    """A token holds what no header may."""


def check_proxies() -> None:
    """Refuse a proxy of whose login git, curl or httpx would take a part for a host or a port and
    repeat it in its message.

    Raises:
        ProxyAddressError: names the variable, and nothing of its value.
    """
    for name, value in os.environ.items():
        if name.lower() in PROXIES and value and not READABLE.fullmatch(value):
            raise ProxyAddressError(
                f"Reading the proxy of the variable {name}",
                "its value is not of the form http://login:password@host:port (it is not repeated)",
                "Percent-encode login and password: # is %23, % is %25, / is %2F, ? is %3F, "
                "@ is %40, \\ is %5C",
            )


def open_client(**options: Any) -> httpx.Client:
    """A client with the proxies of the environment. ``options`` are httpx's own.

    Raises:
        ProxyAddressError: httpx cannot be opened with what the environment says of proxies.
    """
    check_proxies()
    options.setdefault("verify", trusted())
    try:
        return httpx.Client(**options)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        httpx.Client(**options, trust_env=False).close()
        raise ProxyAddressError(
            f"Opening a connection by the proxy of {_proxy_variables()}",
            "a value is none that requests over HTTP can use (it is not repeated)",
            "Proxies are http://, https://, socks5:// or socks5h://; an address of IPv6 stands in "
            "`no_proxy` without brackets",
        ) from error


def trusted() -> ssl.SSLContext:
    """What httpx trusts by itself, read once: each client would read all certificates anew."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=1)
def _trusted(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _proxy_variables() -> str:
    known = {*PROXIES, *PAST_PROXIES}
    return ", ".join(sorted(name for name in os.environ if name.lower() in known))


def header_token(token: str, place: str) -> str:
    """A token for a header, without the space around it. ``place`` says where it comes from.

    Raises:
        MalformedTokenError: it is empty, or has a character that is no visible one of ASCII.
    """
    token = token.strip()
    if TOKEN.fullmatch(token):
        return token
    raise MalformedTokenError(
        f"Using the token of {place}",
        "a character in it is none that a token may have (it is not repeated)"
        if token
        else "it is empty",
        "Copy it anew from where it was made, and register its block with `flows blocks register`",
    )
