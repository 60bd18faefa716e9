"""The GraphQL queries this domain sends. Tests hold them against GitHub's published schema."""

from collections.abc import Sequence

# What one query may name at once. GitHub charges by connections, of which these have none.
REPOSITORIES_PER_QUERY = 100
# Topics and languages are connections: 2 x 50 of them still cost one point.
DETAILS_PER_QUERY = 50
COMMITS_PER_QUERY = 100
ACCOUNTS_PER_QUERY = 80

REPOSITORY = """
fragment repository on Repository {
  id databaseId nameWithOwner description isEmpty isArchived isFork isPrivate diskUsage pushedAt
  stargazerCount forkCount
  licenseInfo { spdxId }
  primaryLanguage { name }
  defaultBranchRef { prefix name target { oid } }
}
"""

COMMIT = """
fragment commit on Commit {
  oid message
  author { name email date }
  committer { name email date }
  parents(first: 100) { nodes { oid } }
  additions @include(if: $stats)
  deletions @include(if: $stats)
  changedFilesIfAvailable @include(if: $stats)
}
"""

KNOWN_REPOSITORIES = (
    """
query known($ids: [ID!]!) {
  nodes(ids: $ids) { ... on Repository { ...repository } }
}
"""
    + REPOSITORY
)

DETAILS = """
query details($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Repository {
      id
      repositoryTopics(first: 100) { nodes { topic { name } } }
      languages(first: 100) { edges { size node { name } } }
    }
  }
}
"""

START = """
query start($id: ID!, $head: GitObjectID!, $mailmap: String!) {
  node(id: $id) {
    ... on Repository {
      object(oid: $head) { ... on Commit { oid history(first: 1) { totalCount } } }
      mailmap: object(expression: $mailmap) { ... on Blob { oid text isTruncated } }
    }
  }
}
"""

HISTORY = (
    """
query history($id: ID!, $head: GitObjectID!, $first: Int!, $after: String, $stats: Boolean!) {
  node(id: $id) {
    ... on Repository {
      object(oid: $head) {
        ... on Commit {
          history(first: $first, after: $after) {
            pageInfo { hasNextPage endCursor }
            nodes { ...commit }
          }
        }
      }
    }
  }
}
"""
    + COMMIT
)


def new_repositories(count: int) -> str:
    """``r0`` to ``r<count - 1>`` by owner and name, in the variables ``o<n>`` and ``n<n>``."""
    numbers = range(count)
    declared = ", ".join(f"$o{number}: String!, $n{number}: String!" for number in numbers)
    asked = "\n".join(
        f"  r{number}: repository(owner: $o{number}, name: $n{number}) {{ ...repository }}"
        for number in numbers
    )
    return f"query new({declared}) {{\n{asked}\n}}\n{REPOSITORY}"


def commits(hashes: Sequence[str]) -> str:
    """``c0`` ... of one repository, by hash. Hashes are checked: they become part of the query."""
    asked = _objects(hashes, "...commit")
    return (
        "query commits($id: ID!, $stats: Boolean!) {\n  node(id: $id) {\n    ... on Repository {\n"
        f"{asked}\n    }}\n  }}\n}}\n{COMMIT}"
    )


def authors(hashes: Sequence[str]) -> str:
    """The GitHub accounts behind the authors of commits, by hash."""
    asked = _objects(
        hashes, "... on Commit { author { email user { login databaseId __typename } } }"
    )
    return (
        "query authors($id: ID!) {\n  node(id: $id) {\n    ... on Repository {\n"
        f"{asked}\n    }}\n  }}\n}}\n"
    )


def _objects(hashes: Sequence[str], selection: str) -> str:
    if not all(hash_.isalnum() and hash_.isascii() for hash_ in hashes):
        raise ValueError("not a commit hash")
    return "\n".join(
        f'      c{number}: object(oid: "{hash_}") {{ {selection} }}'
        for number, hash_ in enumerate(hashes)
    )
