"""Which role owns, builds and reads what, in each database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from flows._shared.raw_tables import REMEMBERED

FLOWS = Path(__file__).parents[2] / "flows"
CREATED = re.compile(
    r"^create (?:or replace |table |function |sequence |view |if not exists )*public\.(\w+)",
    re.MULTILINE,
)


class Role(StrEnum):
    LOADER = "loader"
    TRANSFORMER = "transformer"
    READER = "reader"


@dataclass(frozen=True)
class Place:
    """A schema and who makes what in it.

    Args:
        loads: names of what the loader makes in a schema that is not its own.
        builds: the transformer makes what else there is.
        owner: all of the schema is this role's. None: it belongs to whoever runs the database.
        is_read: readers may read what the transformer builds here, or, where nobody builds, all.
    """

    schema: str
    owner: Role | None = None
    loads: frozenset[str] = frozenset()
    builds: bool = False
    is_read: bool = False

    def maker_of(self, name: str) -> Role | None:
        """Whose a table, view, sequence or function of that name is; None: somebody else's."""
        if self.owner:
            return self.owner
        if name in self.loads:
            return Role.LOADER
        return Role.TRANSFORMER if self.builds else None

    @property
    def is_loaded(self) -> bool:
        return self.owner is Role.LOADER or bool(self.loads)

    @property
    def is_built(self) -> bool:
        return self.owner is Role.TRANSFORMER or self.builds

    def makes(self, role: Role) -> bool:
        return {Role.LOADER: self.is_loaded, Role.TRANSFORMER: self.is_built}.get(role, False)


@dataclass(frozen=True)
class Database:
    """What the roles of one domain may do in its database.

    Args:
        places: its schemas.
        built_from: the loader's tables that the transformer may read; None: all of them.
        source: tables of an application, in `public`, that the loader and the transformer read.
        sample: what the loader makes in `public` where there is no application.
        filled: tables of an application, in `public`, whose rows the loader keeps.
        adopts: tables that the loader makes may be an application's, whose role it then gets.
        has_row_security: rows of the loader's tables are seen by roles with a policy alone.
        extensions: that a superuser makes.
    """

    slug: str
    places: tuple[Place, ...]
    built_from: frozenset[str] | None = None
    source: frozenset[str] = frozenset()
    sample: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    adopts: bool = False
    has_row_security: bool = False
    extensions: tuple[str, ...] = ()

    @property
    def with_sample(self) -> "Database":
        """The same where there is no application, and the loader makes a sample of its tables."""
        if not self.sample:
            return self
        public = Place("public", loads=self.sample)
        return replace(self, places=(*self.places, public), source=frozenset())

    def place(self, schema: str) -> Place | None:
        return next((place for place in self.places if place.schema == schema), None)

    @property
    def roles(self) -> tuple[Role, ...]:
        is_built = any(place.is_built for place in self.places)
        return tuple(role for role in Role if is_built or role is not Role.TRANSFORMER)


def _made_in_public(*scripts: str) -> frozenset[str]:
    return frozenset(
        name for script in scripts for name in CREATED.findall((FLOWS / script).read_text())
    )


BY_APPLICATION_OF_GITHUB = frozenset({"Repository", "Contributor", "RepositoryContributor"})
OF_LEDGERMIND = frozenset(
    {
        "suggestion_events",
        "suggestion_feedback",
        "transactions",
        "model_registry",
        "tenants",
        "transaction_labels",
        "ml_features",
        "ml_training_runs",
    }
)
ANALYTICS = Place("analytics", Role.TRANSFORMER, is_read=True)

DATABASES: Mapping[str, Database] = {
    database.slug: database
    for database in (
        Database(
            "github_scraper",
            (
                Place(
                    "public",
                    loads=_made_in_public(
                        "github_scraper/functions.sql", "github_scraper/schema.sql"
                    ),
                ),
                Place("github_api", Role.LOADER),
                ANALYTICS,
            ),
            filled=BY_APPLICATION_OF_GITHUB,
            adopts=True,
        ),
        Database("ledgermind", (ANALYTICS,), source=OF_LEDGERMIND, sample=OF_LEDGERMIND),
        Database(
            "scout",
            (
                Place("scout", Role.LOADER),
                Place("bronze", Role.TRANSFORMER),
                Place("silver", Role.TRANSFORMER, is_read=True),
                Place("gold", Role.TRANSFORMER, is_read=True),
                Place(
                    "platinum",
                    loads=frozenset(
                        {
                            "transaction_embedding_vectors",
                            "nearest_transactions",
                            "similar_transactions",
                        }
                    ),
                    builds=True,
                    is_read=True,
                ),
                Place("test_failures", Role.TRANSFORMER),
            ),
            built_from=frozenset(
                {
                    "scout.raw_transaction_ingestion",
                    "scout.raw_product_ingestion",
                    "platinum.transaction_embedding_vectors",
                }
            ),
            has_row_security=True,
            extensions=("vector",),
        ),
        Database(
            "quality_compass",
            (
                Place(
                    "public",
                    loads=_made_in_public("quality_compass/schema.sql") | {REMEMBERED},
                ),
                ANALYTICS,
                Place("public_marts", Role.TRANSFORMER, is_read=True),
                Place("quality_compass_test_failures", Role.TRANSFORMER),
                Place("quality_compass_rollback", Role.TRANSFORMER),
                Place("quality_compass_replaced", Role.TRANSFORMER),
            ),
        ),
        Database("webhooks", (Place("webhooks", Role.LOADER, is_read=True),)),
    )
}
