"""Environment variables: set for the length of a block; of proxies and of PostgreSQL."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
PAST_PROXIES = ("no_proxy", "NO_PROXY")
# As PGSSLMODE, PGSERVICE: what libpq takes where an address does not say.
OF_LIBPQ = re.compile("PG[A-Z]+")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@contextmanager
def set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, and put back what was there before."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """What has programs ask this machine itself past the proxies that an environment names.

    Empty where it names none: with an exception set, those of the system would not be looked for.
    """
    if not any(value for name, value in environment.items() if name.lower() in PROXIES):
        return {}
    told = ",".join(environment.get(name, "") for name in PAST_PROXIES).split(",")
    hosts = [host for each in told if (host := each.strip())]
    return dict.fromkeys(PAST_PROXIES, ",".join(dict.fromkeys([*hosts, *LOOPBACK])))


def of_libpq(environment: Mapping[str, str]) -> list[str]:
    """The names of those that alter connections to PostgreSQL."""
    return [name for name in environment if OF_LIBPQ.fullmatch(name)]
