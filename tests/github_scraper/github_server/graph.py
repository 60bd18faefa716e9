"""The part of GitHub's GraphQL API that the server offers, and what GitHub would charge for it.

Types and nullability are GitHub's: an error in a field that may not be null takes its parent.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from tests.github_scraper.github_server.store import Actor, CommitObject, Repository

SCHEMA = build_schema(
    """
    scalar GitObjectID
    scalar GitTimestamp
    scalar DateTime
    scalar URI
    interface Node { id: ID! }
    interface GitObject { oid: GitObjectID! }
    type Query {
      repository(owner: String!, name: String!, followRenames: Boolean = true): Repository
      node(id: ID!): Node
      nodes(ids: [ID!]!): [Node]!
      viewer: User!
      rateLimit: RateLimit
    }
    type RateLimit { cost: Int! remaining: Int! limit: Int! used: Int! }
    type User implements Node { id: ID! login: String! databaseId: Int }
    type License { spdxId: String }
    type Language { name: String! }
    type LanguageEdge { size: Int! node: Language! }
    type LanguageConnection { edges: [LanguageEdge] totalCount: Int! }
    type Topic { name: String! }
    type RepositoryTopic { topic: Topic! }
    type RepositoryTopicConnection { nodes: [RepositoryTopic] }
    type Ref { name: String! prefix: String! target: GitObject }
    type Repository implements Node {
      id: ID! databaseId: Int nameWithOwner: String! description: String
      isEmpty: Boolean! isArchived: Boolean! isFork: Boolean! isPrivate: Boolean!
      diskUsage: Int pushedAt: DateTime stargazerCount: Int! forkCount: Int!
      licenseInfo: License primaryLanguage: Language defaultBranchRef: Ref
      repositoryTopics(first: Int, after: String): RepositoryTopicConnection!
      languages(first: Int, after: String): LanguageConnection
      object(oid: GitObjectID, expression: String): GitObject
    }
    type Blob implements GitObject { oid: GitObjectID! text: String isTruncated: Boolean! }
    type GitActor { name: String email: String date: GitTimestamp user: User }
    type PageInfo { hasNextPage: Boolean! endCursor: String }
    type CommitConnection { nodes: [Commit] }
    type CommitHistoryConnection { nodes: [Commit] pageInfo: PageInfo! totalCount: Int! }
    type Commit implements GitObject & Node {
      id: ID! oid: GitObjectID! message: String! author: GitActor committer: GitActor
      parents(first: Int, after: String): CommitConnection!
      additions: Int! deletions: Int! changedFilesIfAvailable: Int
      history(first: Int, after: String): CommitHistoryConnection!
    }
    """
)


class GraphView:
    """Answers queries over repositories.

    Args:
        find: a repository by ``owner/name``, old names included.
        by_node_id: all that the caller may see.
    """

    def __init__(
        self,
        find: Callable[[str], Repository | None],
        by_node_id: Callable[[str], Repository | None],
    ) -> None:
        self._find = find
        self._by_node_id = by_node_id

    def run(self, query: str, variables: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """The JSON document of the answer, and its cost in points."""
        document, errors = parsed(query)
        if errors:
            return {"errors": [{"message": error.message} for error in errors]}, 1
        result = execute_sync(
            SCHEMA,
            document,
            root_value=self,
            variable_values=dict(variables),
            field_resolver=resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [
                {
                    "message": error.message,
                    "path": error.path,
                    "type": (error.extensions or {}).get("type"),
                }
                for error in result.errors
            ]
        return answer, cost(document, variables)

    def repository(self, owner: str, name: str) -> dict[str, Any]:
        found = self._find(f"{owner}/{name}")
        if found is None:
            raise GraphQLError(
                f"Could not resolve to a Repository with the name '{owner}/{name}'.",
                extensions={"type": "NOT_FOUND"},
            )
        return repository_view(found)

    def node(self, identifier: str) -> dict[str, Any]:
        found = self._by_node_id(identifier)
        if found is None:
            raise GraphQLError(
                f"Could not resolve to a node with the global id of '{identifier}'",
                extensions={"type": "NOT_FOUND"},
            )
        return repository_view(found)


@lru_cache
def parsed(query: str) -> tuple[DocumentNode, list[GraphQLError]]:
    """The scraper asks by few texts: each is looked through once."""
    document = parse(query)
    return document, validate(SCHEMA, document)


def resolve(source: Any, info: Any, **arguments: Any) -> Any:
    if isinstance(source, GraphView):
        if info.field_name == "repository":
            return source.repository(arguments["owner"], arguments["name"])
        if info.field_name == "node":
            return source.node(arguments["id"])
        if info.field_name == "nodes":
            return [_or_error(source.node, each) for each in arguments["ids"]]
        raise GraphQLError(f"{info.field_name} is not offered here")
    value = source[info.field_name]
    return value(**arguments) if callable(value) else value


def _or_error(function: Callable[[str], Any], argument: str) -> Any:
    try:
        return function(argument)
    except GraphQLError as error:
        return error


def repository_view(repository: Repository) -> dict[str, Any]:
    head = repository.head()

    def find_object(oid: str | None = None, expression: str | None = None) -> Any:
        if oid is not None:
            found = repository.commit(oid)
            return commit_view(repository, found) if found else None
        assert expression is not None
        blob = repository.try_git("rev-parse", "--verify", "--quiet", expression)
        if blob is None:
            return None
        text = repository.git("cat-file", "blob", blob).decode("utf-8", "replace")
        return {"__typename": "Blob", "oid": blob, "text": text, "isTruncated": False}

    return {
        "__typename": "Repository",
        "id": repository.node_id,
        "databaseId": repository.database_id,
        "nameWithOwner": repository.full_name,
        "description": repository.description,
        "isEmpty": head is None and not repository.git("for-each-ref", "--count=1"),
        "isArchived": repository.is_archived,
        "isFork": repository.is_fork,
        "isPrivate": repository.is_private,
        "diskUsage": repository.disk_kilobytes,
        "pushedAt": "2026-03-01T10:00:00Z",
        "stargazerCount": repository.stars,
        "forkCount": repository.forks,
        "licenseInfo": {"spdxId": repository.licence} if repository.licence else None,
        "primaryLanguage": (
            {"name": max(repository.languages, key=lambda name: repository.languages[name])}
            if repository.languages
            else None
        ),
        "defaultBranchRef": head
        and {
            "name": head[0],
            "prefix": "refs/heads/",
            "target": {"__typename": "Commit", "oid": head[1]},
        },
        "repositoryTopics": {"nodes": [{"topic": {"name": each}} for each in repository.topics]},
        "languages": {
            "edges": [
                {"size": size, "node": {"name": name}}
                for name, size in repository.languages.items()
            ],
            "totalCount": len(repository.languages),
        },
        "object": find_object,
    }


def commit_view(repository: Repository, commit: CommitObject) -> dict[str, Any]:
    def stat(number: int) -> Callable[[], int]:
        def value() -> int:
            if commit.oid in repository.broken_stats:
                raise GraphQLError("The additions count for this commit is unavailable.")
            return repository.stats(commit.oid)[number]

        return value

    def history(first: int, after: str | None = None) -> dict[str, Any]:
        order = repository.history(commit.oid)
        start = int(after.split()[1]) + 1 if after else 0
        page = order[start : start + first]
        end = start + len(page)
        return {
            "totalCount": len(order),
            "nodes": [commit_view(repository, repository.commit(oid)) for oid in page],  # type: ignore[arg-type]
            "pageInfo": {
                "hasNextPage": end < len(order),
                "endCursor": f"{commit.oid} {end - 1}" if page else None,
            },
        }

    return {
        "__typename": "Commit",
        "id": f"C_{commit.oid}",
        "oid": commit.oid,
        "message": commit.message,
        "author": actor_view(repository, commit.author),
        "committer": actor_view(repository, commit.committer),
        "parents": lambda **_: {"nodes": [{"oid": oid} for oid in commit.parents]},
        "additions": stat(0),
        "deletions": stat(1),
        "changedFilesIfAvailable": lambda: repository.stats(commit.oid)[2],
        "history": history,
    }


def actor_view(repository: Repository, actor: Actor) -> dict[str, Any]:
    user = repository.accounts.get(actor.email.lower())
    return {
        "name": actor.name,
        "email": actor.email,
        "date": actor.iso(),
        # GitHub's type here is User: a bot's commits have none.
        "user": (
            user
            and user.kind == "User"
            and {
                "__typename": "User",
                "id": f"U_{user.database_id}",
                "login": user.login,
                "databaseId": user.database_id,
            }
        )
        or None,
    }


def cost(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """GitHub's formula: one request for every connection of every parent, over a hundred."""
    fragments = {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }

    def count(selection: SelectionSetNode | None, parents: int) -> int:
        total = 0
        for each in selection.selections if selection else ():
            if isinstance(each, FieldNode):
                size = 1
                for argument in each.arguments:
                    name = argument.name.value
                    value: Any = None
                    if isinstance(argument.value, VariableNode):
                        value = variables.get(argument.value.name.value)
                    elif isinstance(argument.value, IntValueNode):
                        value = int(argument.value.value)
                    if name == "first" and value is not None:
                        total += parents
                        size = value
                    if each.name.value == "nodes" and name == "ids":
                        size = len(value)
                total += count(each.selection_set, parents * size)
            elif isinstance(each, InlineFragmentNode):
                total += count(each.selection_set, parents)
            elif isinstance(each, FragmentSpreadNode):
                total += count(fragments[each.name.value].selection_set, parents)
        return total

    (operation,) = (
        each for each in document.definitions if isinstance(each, OperationDefinitionNode)
    )
    return max(1, round(count(operation.selection_set, 1) / 100))
