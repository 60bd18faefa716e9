"""The roles of each database: who loads, who builds, who reads.

    changed = apply(connection, Wanted(DATABASES["scout"], Names.of("scout")), passwords)
    left = check(connection, Wanted(DATABASES["scout"], Names.of("scout")))

One table (`table.py`) says who owns, builds and reads what. What deviates from it is found and
mended by one plan: a second `apply` changes nothing, `check` changes nothing and says the same.
"""

from deployments.roles.apply import apply, check
from deployments.roles.passwords import Login, logins
from deployments.roles.table import DATABASES, Database, Role
from deployments.roles.wanted import Names, Step, Wanted

__all__ = [
    "DATABASES",
    "Database",
    "Login",
    "Names",
    "Role",
    "Step",
    "Wanted",
    "apply",
    "check",
    "logins",
]
