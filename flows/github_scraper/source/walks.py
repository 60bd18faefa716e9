"""Commits over the API, page by page. Every walk is pinned to commit hashes, never to dates or
branch names, so that a push between two pages changes nothing of it.

GraphQL gives a hundred commits with their line counts for a point. REST has a request per commit
for those, and tells moments in UTC only: it is for servers without GraphQL.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flows.github_scraper.records import (
    ApiRequestError,
    ApiUnavailableError,
    Commit,
    CommitPage,
    Head,
    IncompleteWalkError,
    LineCounts,
    RepositoryFacts,
    RepositoryMissingError,
    Signature,
    Source,
    Walk,
    WalkState,
)
from flows.github_scraper.rules import Mailmap
from flows.github_scraper.source import queries
from flows.github_scraper.source.client import TRIES, GithubClient

PAGE_SIZES = (100, 50, 25, 10, 1)
# A page that cannot be had twice is asked for in smaller ones.
TRIES_OF_A_PAGE = 2
REST_PAGE = 100
PAGES_BEFORE_GROWING = 8
# GitHub lists no more files of a commit than this.
MAX_FILES = 3_000


class WalkReader:
    """Reads walks of one repository.

    Args:
        page_size: commits asked for at once, while GitHub can answer that.
    """

    def __init__(self, client: GithubClient, facts: RepositoryFacts, page_size: int = 100) -> None:
        self._client = client
        self._facts = facts
        self._sizes = [size for size in PAGE_SIZES if size < page_size]
        self._sizes.insert(0, page_size)
        self._step = 0
        self._good_pages = 0

    def start(self, source: Source) -> tuple[Head, str, int | None]:
        """The head, the text of its mailmap, and how many commits it reaches (GraphQL only)."""
        assert self._facts.ref is not None
        assert self._facts.head_hash is not None
        ref, head_hash = self._facts.ref, self._facts.head_hash
        if source is Source.REST:
            mailmap_hash, text = self._rest_mailmap(head_hash)
            return Head(ref, head_hash, mailmap_hash), text, None
        answer = self._client.graphql(
            queries.START,
            {"id": self._facts.node_id, "head": head_hash, "mailmap": f"{head_hash}:.mailmap"},
        )
        node = self._node(answer.data)
        if not node.get("object"):
            raise self._vanished(head_hash)
        mailmap = node.get("mailmap") or {}
        if mailmap.get("isTruncated"):
            mailmap_hash, text = self._rest_mailmap(head_hash)
        else:
            mailmap_hash, text = mailmap.get("oid"), mailmap.get("text") or ""
        total = int(node["object"]["history"]["totalCount"])
        return Head(ref, head_hash, mailmap_hash), text, total

    def compare(self, base_hash: str, head_hash: str) -> tuple[int, bool]:
        """How many commits the head has and the base lacks; whether the base has others.

        Raises:
            RepositoryMissingError: one of the two is gone.
        """
        body = self._compare(base_hash, head_hash, 1)
        return int(body["total_commits"]), int(body["behind_by"]) > 0

    def page(self, state: WalkState) -> CommitPage:
        """The page at ``state.position``."""
        mailmap = Mailmap(state.mailmap)
        if state.walk is Walk.DELTA:
            return self._delta_page(state, mailmap)
        if state.source is Source.REST:
            return self._rest_page(state, mailmap)
        return self._history_page(state, mailmap)

    def _history_page(self, state: WalkState, mailmap: Mailmap) -> CommitPage:
        variables: dict[str, Any] = {
            "id": self._facts.node_id,
            "head": state.head.head_hash,
            "after": state.position,
        }
        while True:
            size = self._sizes[self._step]
            try:
                history = self._history(variables, size, stats=True)
            except ApiUnavailableError as error:
                if size > 1:
                    self._step += 1
                    self._good_pages = 0
                    continue
                history = self._history(variables, 1, stats=False)
                commits = [_commit(node, mailmap, str(error)) for node in history["nodes"]]
                break
            nodes = list(history["nodes"])
            why = history["why"]
            if None in nodes:
                plain = self._history(variables, size, stats=False)["nodes"]
                commits = [
                    _commit(node, mailmap, None) if node else _commit(bare, mailmap, why)
                    for node, bare in zip(nodes, plain, strict=True)
                ]
            else:
                commits = [_commit(node, mailmap, None) for node in nodes]
            break
        self._grow_back()
        info = history["pageInfo"]
        return CommitPage(tuple(commits), info["endCursor"] if info["hasNextPage"] else None)

    def _grow_back(self) -> None:
        self._good_pages += 1
        if self._step and self._good_pages >= PAGES_BEFORE_GROWING:
            self._step -= 1
            self._good_pages = 0

    def _history(self, variables: Mapping[str, Any], size: int, *, stats: bool) -> dict[str, Any]:
        answer = self._client.graphql(
            queries.HISTORY,
            {**variables, "first": size, "stats": stats},
            tries=TRIES if size == 1 or not stats else TRIES_OF_A_PAGE,
        )
        found = self._node(answer.data).get("object")
        if not found:
            raise self._vanished(str(variables["head"]))
        history = dict(found["history"])
        if not stats and None in history["nodes"]:
            raise ApiUnavailableError(
                f"Reading commits of {self._facts.name_with_owner}",
                f"GitHub cannot show one of them: {_why(answer.errors)}",
                "Try again later, or read this repository by git (`api.path`)",
            )
        return history | {"why": _why(answer.errors)}

    def _delta_page(self, state: WalkState, mailmap: Mailmap) -> CommitPage:
        number = int(state.position or 1)
        assert state.base_hash is not None
        body = self._compare(state.base_hash, state.head.head_hash, number)
        hashes = [str(each["sha"]) for each in body["commits"]]
        if state.source is Source.REST:
            commits = [self._rest_commit(hash_, mailmap) for hash_ in hashes]
        else:
            commits = self._by_hash(hashes, mailmap)
        is_last = number * REST_PAGE >= int(body["total_commits"])
        return CommitPage(tuple(commits), None if is_last else str(number + 1))

    def _by_hash(self, hashes: Sequence[str], mailmap: Mailmap) -> list[Commit]:
        """Commits by their hashes; those whose line counts GitHub cannot tell come without."""
        if not hashes:
            return []
        try:
            nodes, why = self._objects(hashes, stats=True)
        except ApiUnavailableError as error:
            if len(hashes) > 1:
                middle = len(hashes) // 2
                return self._by_hash(hashes[:middle], mailmap) + self._by_hash(
                    hashes[middle:], mailmap
                )
            nodes, why = [None], str(error)
        missing = [hash_ for hash_, node in zip(hashes, nodes, strict=True) if not node]
        bare: dict[str, Any] = {}
        if missing:
            found, _ = self._objects(missing, stats=False)
            bare = dict(zip(missing, found, strict=True))
            if lost := next((hash_ for hash_, node in bare.items() if not node), None):
                raise self._vanished(lost)
        return [
            _commit(node, mailmap, None) if node else _commit(bare[hash_], mailmap, why)
            for hash_, node in zip(hashes, nodes, strict=True)
        ]

    def _objects(self, hashes: Sequence[str], *, stats: bool) -> tuple[list[Any], str]:
        answer = self._client.graphql(
            queries.commits(hashes),
            {"id": self._facts.node_id, "stats": stats},
            tries=TRIES if len(hashes) == 1 or not stats else TRIES_OF_A_PAGE,
        )
        node = self._node(answer.data)
        return [node.get(f"c{number}") for number in range(len(hashes))], _why(answer.errors)

    def _compare(self, base_hash: str, head_hash: str, page: int) -> dict[str, Any]:
        answer = self._client.rest(
            f"/repos/{self._facts.name_with_owner}/compare/{base_hash}...{head_hash}",
            {"per_page": REST_PAGE, "page": page},
        )
        return dict(answer.body)

    def _rest_page(self, state: WalkState, mailmap: Mailmap) -> CommitPage:
        number = int(state.position or 1)
        answer = self._client.rest(
            f"/repos/{self._facts.name_with_owner}/commits",
            {"sha": state.head.head_hash, "per_page": REST_PAGE, "page": number},
        )
        commits = [self._rest_commit(str(each["sha"]), mailmap) for each in answer.body]
        return CommitPage(tuple(commits), str(number + 1) if answer.next_url else None)

    def _rest_commit(self, commit_hash: str, mailmap: Mailmap) -> Commit:
        path = f"/repos/{self._facts.name_with_owner}/commits/{commit_hash}"
        answer = self._client.rest(path, {"per_page": 100})
        body = dict(answer.body)
        files = len(body.get("files") or ())
        while answer.next_url is not None:
            answer = self._client.rest(answer.next_url)
            files += len(answer.body.get("files") or ())
        stats, said = body.get("stats"), body["commit"]
        return _commit(
            {
                "oid": body["sha"],
                "message": said["message"],
                "author": said.get("author"),
                "committer": said.get("committer"),
                "parents": {"nodes": [{"oid": each["sha"]} for each in body["parents"]]},
                "additions": stats and stats["additions"],
                "deletions": stats and stats["deletions"],
                "changedFilesIfAvailable": files if files < MAX_FILES else None,
            },
            mailmap,
            None if stats else "GitHub gave no stats",
            is_utc_only=True,
        )

    def _rest_mailmap(self, head_hash: str) -> tuple[str | None, str]:
        path = f"/repos/{self._facts.name_with_owner}/contents/.mailmap"
        try:
            body = self._client.rest(path, {"ref": head_hash}).body
        except RepositoryMissingError:
            return None, ""
        if not isinstance(body, dict) or body.get("encoding") != "base64":
            return None, ""
        try:
            text = base64.b64decode(body["content"]).decode("utf-8", "replace")
        except binascii.Error:
            raise ApiRequestError(
                f"Reading the mailmap of {self._facts.name_with_owner}",
                "its content is not base64",
                "Check what answers at the configured host",
            ) from None
        return str(body["sha"]), text

    def _node(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        node = data.get("node")
        if not node:
            raise RepositoryMissingError(
                f"Reading {self._facts.name_with_owner}",
                "GitHub does not know it any more, or hides it from this token",
                "The next run finds out which",
            )
        return dict(node)

    def _vanished(self, commit_hash: str) -> IncompleteWalkError:
        return IncompleteWalkError(
            f"Reading {self._facts.name_with_owner}",
            f"the commit {commit_hash} is gone: the history was rewritten meanwhile",
            "The next attempt begins with the new head",
        )


def _commit(
    node: Mapping[str, Any], mailmap: Mailmap, stats_error: str | None, *, is_utc_only: bool = False
) -> Commit:
    """A commit as the API tells it. ``stats_error`` is why its line counts are not in it."""
    author = _signature(node.get("author"), mailmap, is_utc_only)
    committer = _signature(node.get("committer"), mailmap, is_utc_only)
    # As git does, a message ends at its first NUL.
    message, nul, _ = str(node.get("message") or "").partition("\0")
    message = _text(message)
    added, deleted = node.get("additions"), node.get("deletions")
    counts = None
    if stats_error is None and added is not None and deleted is not None:
        counts = LineCounts(int(added), int(deleted), node.get("changedFilesIfAvailable"), None)
    said = (message, author.name, author.email, committer.name, committer.email)
    return Commit(
        commit_hash=str(node["oid"]),
        parent_hashes=tuple(str(each["oid"]) for each in node["parents"]["nodes"]),
        author=author,
        committer=committer,
        message=message.rstrip(),
        is_encoding_valid=not nul and not any("\ufffd" in text for text in said),
        line_counts=counts,
        stats_error=stats_error,
    )


def _signature(actor: Mapping[str, Any] | None, mailmap: Mailmap, is_utc_only: bool) -> Signature:
    actor = actor or {}
    name, email = _text(actor.get("name")), _text(actor.get("email"))
    name_mapped, email_mapped = mailmap.lookup(name, email)
    epoch_seconds, offset = None, ""
    if date := actor.get("date"):
        try:
            moment = datetime.fromisoformat(str(date))
        except ValueError:
            pass
        else:
            epoch_seconds = int(moment.timestamp())
            offset = "" if is_utc_only else moment.strftime("%z")
    return Signature(name, email, name_mapped, email_mapped, epoch_seconds, offset)


def _text(value: object) -> str:
    """Text that PostgreSQL and UTF-8 can hold: no NUL, no half of a surrogate pair."""
    text = "" if value is None else str(value)
    text = text.replace("\0", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _why(errors: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(str(error.get("message", "")) for error in errors))[:300]


def check_walk(state: WalkState, name: str, staged: int, unseen_parents: int) -> None:
    """Whether a complete walk has every commit it should have.

    Raises:
        IncompleteWalkError: GitHub listed fewer or more than it announced, or a listed commit
            has a parent that neither was listed nor is loaded.
    """
    if state.walk is not Walk.FRONTIER and state.expected not in (None, staged):
        raise IncompleteWalkError(
            f"Reading {name} over the API",
            f"GitHub listed {staged} commits and had announced {state.expected}",
            "Nothing was loaded; the next attempt begins anew",
        )
    if unseen_parents:
        raise IncompleteWalkError(
            f"Reading {name} over the API",
            f"{unseen_parents} parents of listed commits were not listed",
            "Nothing was loaded; the next attempt begins anew",
        )
