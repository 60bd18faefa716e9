"""What we send is valid by GitHub's own published descriptions of its APIs.

They come from npm (`@octokit/openapi`, `@octokit/graphql-schema`) and are kept in pytest's cache.
"""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema  # type: ignore[import-untyped]
import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    parse,
    validate,
)

from flows.github_scraper.source import queries
from flows.github_scraper.source.planning import fetch_organization
from tests.github_scraper.conftest import Api
from tests.github_scraper.github_server.graph import SCHEMA as OUR_SCHEMA
from tests.github_scraper.histories import History

OPENAPI = "@octokit/openapi@23.0.2", "package/generated/api.github.com.json"
GRAPHQL = "@octokit/graphql-schema@15.26.1", "package/schema.graphql"
FETCH_SECONDS = 60
# Answers to every numeric id, in use for years and not in the description.
UNDESCRIBED = re.compile(r"/repositories/\d+$")


def published(cache: pytest.Cache, package: str, member: str) -> str:
    """A file of a package on npm; skips the test where it cannot be had."""
    folder = cache.mkdir("contracts")
    kept = folder / f"{re.sub('[^a-z0-9.]+', '-', package)}-{Path(member).name}"
    if not kept.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, so GitHub's descriptions cannot be fetched")
        try:
            done = subprocess.run(
                ["npm", "pack", "--silent", "--fetch-retries=0", package],
                cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pytest.skip("the npm registry does not answer")
        if done.returncode:
            pytest.skip(f"the npm registry cannot be reached: {done.stderr.strip()[-200:]}")
        archive = folder / done.stdout.split()[-1]
        with tarfile.open(archive) as opened:
            content = opened.extractfile(member)
            assert content is not None
            kept.write_bytes(content.read())
        archive.unlink()
    return kept.read_text()


@pytest.fixture(scope="module")
def github_schema(request: pytest.FixtureRequest) -> GraphQLSchema:
    assert request.config.cache is not None
    return build_schema(published(request.config.cache, *GRAPHQL), assume_valid=True)


@pytest.fixture(scope="module")
def operations(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Operations by path and method."""
    assert request.config.cache is not None
    return dict(json.loads(published(request.config.cache, *OPENAPI))["paths"])


QUERIES = {
    "known": queries.KNOWN_REPOSITORIES,
    "new": queries.new_repositories(3),
    "details": queries.DETAILS,
    "start": queries.START,
    "history": queries.HISTORY,
    "commits": queries.commits(["a" * 40, "b" * 40]),
    "authors": queries.authors(["a" * 40, "b" * 40]),
}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_is_valid_by_githubs_schema(github_schema: GraphQLSchema, name: str) -> None:
    assert validate(github_schema, parse(QUERIES[name])) == []


def test_a_query_that_github_does_not_know_is_noticed(github_schema: GraphQLSchema) -> None:
    assert validate(github_schema, parse(queries.HISTORY.replace("endCursor", "lastCursor")))


def test_the_test_servers_schema_is_a_part_of_githubs(github_schema: GraphQLSchema) -> None:
    """Types and nullability above all: they decide what one failing field takes with it."""
    for name, ours in OUR_SCHEMA.type_map.items():
        if name.startswith("__") or not isinstance(ours, (GraphQLObjectType, GraphQLInterfaceType)):
            continue
        theirs = github_schema.type_map[name]
        assert isinstance(theirs, (GraphQLObjectType, GraphQLInterfaceType))
        for field, definition in ours.fields.items():
            assert str(theirs.fields[field].type) == str(definition.type), f"{name}.{field}"


def test_every_rest_request_is_described_with_its_parameters(
    operations: dict[str, Any], api: Api, history: History
) -> None:
    history.point(history.commit(tree=history.files({".mailmap": b"A <a@x> <b@x>\n"})))
    url = api.server.address(api.server.add(history.path))
    api.sync(url, path="rest")
    history.point(history.commit(parents=[history.head()]))
    api.sync(url, path="rest")
    api.resolve("rest")
    with api.open(api.settings()).client(api.database, "key") as client:
        fetch_organization(client, "octo", api.server.url)
    sent = [line.split() for line in api.server.requests]
    assert len({urlsplit(target).path for _, target in sent}) >= 6
    for method, target in sent:
        parts = urlsplit(target)
        path = parts.path.removeprefix("/api/v3")
        if UNDESCRIBED.search(path):
            continue
        described = operation(operations, method.lower(), path)
        assert described is not None, f"{method} {path} is not in GitHub's description"
        allowed = {each["name"]: each for each in described.get("parameters", ()) if "name" in each}
        allowed |= referenced(described)
        for name, value in parse_qsl(parts.query):
            assert name in allowed, f"{name} of {path}"
            schema = allowed[name].get("schema", {})
            typed = int(value) if schema.get("type") == "integer" else value
            jsonschema.validate(typed, schema)


def referenced(described: dict[str, Any]) -> dict[str, Any]:
    """Parameters that are described elsewhere in the document, by the name they are sent under."""
    names = {"per-page": "per_page", "page": "page", "pagination-page": "page"}
    found = {}
    for each in described.get("parameters", ()):
        key = str(each.get("$ref", "")).rpartition("/")[2]
        if key in names:
            found[names[key]] = {"schema": {"type": "integer"}}
    return found


def operation(operations: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The description of a request, the most literal path first."""
    for template in sorted(operations, key=lambda each: each.count("{")):
        pattern = re.sub(r"\\{(?:path|basehead|ref)\\}", ".+", re.escape(template))
        pattern = re.sub(r"\\{[a-z_]+\\}", "[^/]+", pattern)
        if re.fullmatch(pattern, path) and method in operations[template]:
            return dict(operations[template][method])
    return None
