"""What GitHub says of many repositories at once: one query, a point, a hundred of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flows._shared.errors import PlatformError
from flows.github_scraper.records import (
    AccessDeniedError,
    AccountLookup,
    ApiConfigurationError,
    EmptyRepositoryError,
    RepositoryFacts,
    RepositoryGoneError,
    RepositoryMissingError,
    RepositoryNotFoundError,
)
from flows.github_scraper.source import queries
from flows.github_scraper.source.client import SHA_ACCEPT, GithubClient

Item = TypeVar("Item")


def fetch_known(client: GithubClient, node_ids: Sequence[str]) -> dict[str, RepositoryFacts | None]:
    """Repositories by their permanent ids; None for those that GitHub does not show."""
    found: dict[str, RepositoryFacts | None] = {}
    for batch in _batches(node_ids, queries.REPOSITORIES_PER_QUERY):
        answer = client.graphql(queries.KNOWN_REPOSITORIES, {"ids": list(batch)})
        for node_id, node in zip(batch, answer.data["nodes"], strict=True):
            found[node_id] = _facts(node) if node else None
    return found


def fetch_new(
    client: GithubClient, urls: Sequence[str]
) -> dict[str, RepositoryFacts | PlatformError]:
    """Repositories by owner and name; for those that GitHub does not show, what it said."""
    found: dict[str, RepositoryFacts | PlatformError] = {}
    named: list[str] = []
    for url in urls:
        try:
            owner_and_name(url)
            named.append(url)
        except RepositoryNotFoundError as error:
            found[url] = error
    for batch in _batches(named, queries.REPOSITORIES_PER_QUERY):
        variables: dict[str, str] = {}
        for number, url in enumerate(batch):
            variables[f"o{number}"], variables[f"n{number}"] = owner_and_name(url)
        answer = client.graphql(queries.new_repositories(len(batch)), variables)
        said = {str((error.get("path") or [""])[0]): error for error in answer.errors}
        for number, url in enumerate(batch):
            node = answer.data.get(f"r{number}")
            found[url] = _facts(node) if node else _not_shown(url, said.get(f"r{number}", {}))
    return found


def fetch_one_over_rest(
    client: GithubClient, url: str, known_head: str | None = None
) -> RepositoryFacts:
    """One repository without GraphQL, by its name.

    Where nothing changed both requests are answered by 304, which costs no budget: the first by
    the stored answer's ETag, the second because a commit's hash is its own ETag.
    """
    owner, name = owner_and_name(url)
    try:
        body = client.rest(f"/repos/{owner}/{name}", is_conditional=True).body
        return _rest_facts(client, body, known_head)
    except RepositoryMissingError as error:
        raise _not_shown(url, {"message": error.seen}) from None


def fetch_by_id(client: GithubClient, github_id: int) -> bool:
    """Whether GitHub still shows the repository of this numeric id."""
    try:
        client.rest(f"/repositories/{github_id}")
    except (RepositoryMissingError, RepositoryGoneError):
        return False
    return True


def fetch_details(
    client: GithubClient, node_ids: Sequence[str]
) -> dict[str, tuple[tuple[str, ...], tuple[tuple[str, int], ...]]]:
    """Topics, and bytes by language."""
    found = {}
    for batch in _batches(node_ids, queries.DETAILS_PER_QUERY):
        answer = client.graphql(queries.DETAILS, {"ids": list(batch)})
        for node in answer.data["nodes"]:
            if node:
                topics = tuple(each["topic"]["name"] for each in node["repositoryTopics"]["nodes"])
                edges = node["languages"]["edges"]
                languages = tuple((edge["node"]["name"], int(edge["size"])) for edge in edges)
                found[str(node["id"])] = (topics, languages)
    return found


def fetch_organization(client: GithubClient, organization: str, host_url: str) -> list[str]:
    """The addresses of an organization's repositories, archived ones included.

    Raises:
        PlatformError: there is none of that name, or the token may not see it.
    """
    if not organization.replace("-", "").isalnum():
        raise ApiConfigurationError(
            f"Listing the repositories of {organization!r}",
            "that is no name of an organization",
            "Give its name as in github.com/<name> in the parameter `organizations`",
        )
    path: str | None = f"/orgs/{organization}/repos"
    parameters: dict[str, str | int] | None = {"per_page": 100, "type": "all", "sort": "full_name"}
    urls: list[str] = []
    while path is not None:
        try:
            answer = client.rest(path, parameters, is_conditional=True)
        except RepositoryMissingError:
            raise RepositoryNotFoundError(
                f"Listing the repositories of the organization {organization}",
                "GitHub knows no such organization, or hides it from this token (404)",
                "Check the parameter `organizations`, and that the token of `token_block` or "
                "`api.token_blocks` may see it",
            ) from None
        urls += [f"{host_url.rstrip('/')}/{each['full_name']}" for each in answer.body]
        path, parameters = answer.next_url, None
    return urls


def fetch_accounts(
    client: GithubClient, node_id: str, lookups: Sequence[AccountLookup]
) -> Iterator[AccountLookup]:
    """The lookups of one repository, with the account behind each e-mail where there is one."""
    for batch in _batches(lookups, queries.ACCOUNTS_PER_QUERY):
        answer = client.graphql(
            queries.authors([each.commit_hash for each in batch]), {"id": node_id}
        )
        node = answer.data.get("node") or {}
        for number, lookup in enumerate(batch):
            found = node.get(f"c{number}")
            # A commit that is gone says nothing about the e-mail; one without an account does.
            if found is None:
                continue
            user = (found.get("author") or {}).get("user")
            yield AccountLookup(
                lookup.email,
                lookup.commit_hash,
                lookup.repository_id,
                login=user and str(user["login"]),
                account_id=user and user["databaseId"],
                account_type=user and str(user["__typename"]),
            )


def fetch_accounts_over_rest(
    client: GithubClient, name_with_owner: str, lookups: Sequence[AccountLookup]
) -> Iterator[AccountLookup]:
    """The same by REST: a request for each e-mail."""
    for lookup in lookups:
        try:
            body = client.rest(f"/repos/{name_with_owner}/commits/{lookup.commit_hash}").body
        except RepositoryMissingError:
            continue
        user = body.get("author")
        yield AccountLookup(
            lookup.email,
            lookup.commit_hash,
            lookup.repository_id,
            login=user and str(user["login"]),
            account_id=user and int(user["id"]),
            account_type=user and str(user["type"]),
        )


def owner_and_name(url: str) -> tuple[str, str]:
    """The last two segments of a repository's address."""
    segments = [part for part in urlsplit(url).path.removesuffix(".git").split("/") if part]
    if len(segments) != 2:
        raise RepositoryNotFoundError(
            f"Asking GitHub for {url}",
            "the address is not of the form <host>/<owner>/<name>",
            "Check the parameter `repositories`",
        )
    return segments[0], segments[1]


def _not_shown(url: str, error: Mapping[str, Any]) -> PlatformError:
    if error.get("type") == "FORBIDDEN":
        return AccessDeniedError(
            f"Asking GitHub for {url}",
            str(error.get("message", "GitHub refused"))[:300],
            "Give the token of `token_block` or `api.token_blocks` access to it, or authorize it "
            "for the organization's single sign-on",
        )
    return RepositoryNotFoundError(
        f"Asking GitHub for {url}",
        "GitHub knows no repository of that name, or hides it from this token",
        "Check the spelling in the parameter `repositories`, and that the token of `token_block` "
        "or `api.token_blocks` may see it",
    )


def _facts(node: Mapping[str, Any]) -> RepositoryFacts:
    branch = node.get("defaultBranchRef")
    return RepositoryFacts(
        account_repository_id=int(node["databaseId"]),
        node_id=str(node["id"]),
        name_with_owner=str(node["nameWithOwner"]),
        is_archived=bool(node["isArchived"]),
        is_fork=bool(node["isFork"]),
        is_private=bool(node["isPrivate"]),
        disk_kilobytes=node.get("diskUsage"),
        stars=int(node["stargazerCount"]),
        forks=int(node["forkCount"]),
        licence=(node.get("licenseInfo") or {}).get("spdxId"),
        primary_language=(node.get("primaryLanguage") or {}).get("name"),
        description=node.get("description"),
        pushed_at=datetime.fromisoformat(node["pushedAt"]) if node.get("pushedAt") else None,
        ref=f"{branch['prefix']}{branch['name']}" if branch else None,
        head_hash=branch["target"]["oid"] if branch and branch.get("target") else None,
        is_empty=bool(node["isEmpty"]),
    )


def _rest_facts(
    client: GithubClient, body: Mapping[str, Any], known_head: str | None
) -> RepositoryFacts:
    name, branch = str(body["full_name"]), str(body["default_branch"])
    path = f"/repos/{name}/commits/{quote(branch, safe='')}"
    head_hash: str | None
    try:
        answer = client.rest(path, accept=SHA_ACCEPT, known_etag=known_head)
        head_hash = known_head if answer.was_unchanged else str(answer.body).strip()
    except EmptyRepositoryError:
        head_hash = None
    return RepositoryFacts(
        account_repository_id=int(body["id"]),
        node_id=str(body["node_id"]),
        name_with_owner=name,
        is_archived=bool(body["archived"]),
        is_fork=bool(body["fork"]),
        is_private=bool(body["private"]),
        disk_kilobytes=body.get("size"),
        stars=int(body["stargazers_count"]),
        forks=int(body["forks_count"]),
        licence=(body.get("license") or {}).get("spdx_id"),
        primary_language=body.get("language"),
        description=body.get("description"),
        pushed_at=datetime.fromisoformat(body["pushed_at"]) if body.get("pushed_at") else None,
        ref=f"refs/heads/{branch}" if head_hash else None,
        head_hash=head_hash,
        topics=tuple(body.get("topics") or ()),
    )


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
