"""Whatever GitHub answers, and whatever stands between it and us: one outcome with a name."""

import json
import logging
from datetime import timedelta

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows.github_scraper import raw
from flows.github_scraper.records import (
    AccessDeniedError,
    ApiConfigurationError,
    ApiRequestError,
    ApiUnavailableError,
    DefaultBranchError,
    EmptyRepositoryError,
    NotReadyError,
    RedirectRefusedError,
    RepositoryBlockedError,
    RepositoryEmptiedError,
    RepositoryGoneError,
    RepositoryMissingError,
    TokenRejectedError,
    WalkImpossibleError,
)
from flows.github_scraper.source.client import Answer
from flows.github_scraper.source.connect import Secrets, open_api
from flows.github_scraper.source.planning import fetch_organization
from tests.github_scraper.conftest import Api
from tests.github_scraper.github_server import Fault
from tests.github_scraper.histories import History
from tests.github_scraper.tables import contents

HOUR = 3_600.0


def get(api: Api, path: str = "/repos/octo/tool", **options: bool) -> Answer:
    settings = api.settings(max_wait_seconds=HOUR)
    with api.open(settings).client(api.database, "key") as client:
        return client.rest(path, **options)  # type: ignore[arg-type]


@pytest.fixture
def tool(api: Api, history: History) -> str:
    """A repository with one commit, by its address."""
    history.point(history.commit(tree=history.files({"a": b"1\n"})))
    return api.server.address(api.server.add(history.path))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("403 Resource not accessible by personal access token", AccessDeniedError),
        ("403 The history or contributor list is too large to list", WalkImpossibleError),
        ("404", RepositoryMissingError),
        ("409 Git Repository is empty.", EmptyRepositoryError),
        ("410 Gone", RepositoryGoneError),
        ("418 teapot", ApiRequestError),
        ("422 In order to keep the API fast", WalkImpossibleError),
        ("451 Repository access blocked", RepositoryBlockedError),
    ],
)
def test_a_refusal_is_final_and_has_a_name(
    api: Api, tool: str, kind: str, error: type[PlatformError]
) -> None:
    api.server.faults.append(Fault(kind, path="/repos/"))
    with pytest.raises(error) as raised:
        get(api)
    assert isinstance(raised.value, PermanentError)
    assert not api.server.faults
    assert api.server.clock.slept == 0, "waiting would not mend it"


@pytest.mark.parametrize(
    "kind",
    [
        "secondary",
        "retry-after",
        "429",
        "past-reset",
        "502",
        "html",
        "drop",
        "truncated",
        "cut",
        "500",
        "503",
    ],
)
def test_what_passes_is_waited_for_and_asked_again(api: Api, tool: str, kind: str) -> None:
    api.server.faults += [Fault(kind, path="/repos/")] * 2
    assert get(api).body["full_name"] == "octo/tool"
    assert api.server.clock.slept > 0
    assert not api.server.faults


def test_no_answer_at_all_gives_up_as_a_passing_trouble(api: Api, tool: str) -> None:
    api.server.faults += [Fault("502", path="/repos/")] * 50
    with pytest.raises(ApiUnavailableError) as raised:
        get(api)
    assert isinstance(raised.value, TransientError)
    assert len(api.server.faults) == 44


def test_an_answer_that_drips_is_given_up(api: Api, tool: str) -> None:
    api.server.faults.append(Fault("hang", path="/repos/", value="0.6"))
    settings = api.settings(timeout_seconds=0.3, max_wait_seconds=HOUR)
    with api.open(settings).client(api.database, "key") as client:
        assert client.rest("/repos/octo/tool").status == 200
    assert api.server.clock.slept > 0


def test_an_answer_still_being_computed_is_polled_a_few_times(api: Api, tool: str) -> None:
    api.server.faults += [Fault("202", path="/repos/")] * 2
    assert get(api).status == 200
    api.server.faults += [Fault("202", path="/repos/")] * 4
    with pytest.raises(NotReadyError):
        get(api)
    api.server.faults.append(Fault("204", path="/repos/"))
    assert get(api).body is None


@pytest.mark.parametrize(
    "location", ["", "http://evil.example/api/v3/repos/x/y", "//evil.example/"]
)
def test_a_redirect_to_nowhere_or_elsewhere_is_refused(api: Api, tool: str, location: str) -> None:
    api.server.faults.append(Fault("redirect", path="/repos/", value=location))
    with pytest.raises(RedirectRefusedError):
        get(api)


def test_redirects_in_a_circle_end(api: Api, tool: str) -> None:
    api.server.faults += [Fault("redirect", path="/repos/", value="/api/v3/repos/octo/tool")] * 9
    with pytest.raises(RedirectRefusedError, match="more than 5"):
        get(api)


def test_a_link_to_another_host_is_not_followed(api: Api, tool: str) -> None:
    with pytest.raises(RedirectRefusedError, match="another host"):
        get(api, "http://evil.example/next")
    assert all("evil" not in request for request in api.server.requests)


def test_an_unchanged_answer_is_served_from_the_store_and_costs_nothing(
    api: Api, tool: str
) -> None:
    first = get(api, is_conditional=True)
    spent = api.server.meter.total("core")
    second = get(api, is_conditional=True)
    assert second.was_unchanged
    assert second.body == first.body
    assert api.server.meter.total("core") == spent + 1, "the question whose token it is"


def test_stored_answers_are_kept_by_token(api: Api, tool: str) -> None:
    get(api, is_conditional=True)
    api.server.tokens = {"ghp_other": "user:2"}
    known: list[str | None] = []
    api.server.on_request = lambda request: known.append(request.headers["If-None-Match"])
    assert not get(api, is_conditional=True).was_unchanged
    assert get(api, is_conditional=True).was_unchanged
    # Each time it is first asked whose token this is.
    assert [each is None for each in known] == [True, True, True, False]


@pytest.mark.parametrize("max_first", [60, 12])
def test_pages_that_github_cannot_make_become_smaller(
    api: Api, small_history: History, max_first: int
) -> None:
    url = api.server.address(api.server.add(small_history.path))
    api.server.max_first = max_first
    api.sync(url, max_wait_seconds=HOUR)
    counted = api.connection.execute("select count(*), count(lines_added) from public.commits")
    total = int(small_history.git("rev-list", "--count", "main"))
    assert counted.fetchone() == (total, total)


def test_one_commit_without_line_counts_costs_only_itself_its_own(
    api: Api, small_history: History
) -> None:
    repository = api.server.add(small_history.path)
    url = api.server.address(repository)
    broken = repository.history(small_history.head())[37]
    repository.broken_stats.add(broken)
    api.sync(url)
    rows = api.connection.execute(
        "select commit_hash, lines_added, stats_error from public.commits where lines_added is null"
    ).fetchall()
    assert rows == [(broken, None, "The additions count for this commit is unavailable.")]
    repository.broken_stats.clear()
    api.connection.execute("delete from public.repository_heads")
    api.sync(url)
    assert api.connection.execute(
        "select count(*) from public.commits where lines_added is null or stats_error is not null"
    ).fetchone() == (0,)


def test_a_commit_that_github_cannot_count_at_all_is_isolated(api: Api, history: History) -> None:
    root = history.commit(b"root\n")
    middle = history.commit(b"middle\n", parents=[root], tree=history.files({"a": b"1\n"}))
    history.point(history.commit(b"tip\n", parents=[middle]))
    url = api.server.address(api.server.add(history.path))
    api.server.faults += [Fault("graphql-timeout", content='"first": 1, "stats": true')] * 6
    api.server.max_first = 1
    api.sync(url, max_wait_seconds=HOUR)
    errors = api.connection.execute(
        "select count(*), count(stats_error), count(lines_added) from public.commits"
    ).fetchone()
    assert errors == (3, 1, 2)


def test_graphql_says_rate_limited_with_a_200_and_is_waited_for(api: Api, tool: str) -> None:
    api.server.faults.append(Fault("graphql-limit", content="query new"))
    api.sync(tool, max_wait_seconds=HOUR)
    assert api.server.clock.slept >= 60


def test_a_renamed_repository_is_one_repository_with_two_names(api: Api, tool: str) -> None:
    api.sync(tool)
    repository = api.server.repositories[0]
    began = api.server.clock.now()
    api.server.clock.sleep(HOUR)
    repository.rename("octo", "renamed")
    planned = api.plan(tool)
    assert planned.notes == [f"{tool} is {api.server.address(repository)} now"]
    assert api.connection.execute("select url from public.repositories").fetchall() == [
        (api.server.address(repository),)
    ]
    assert api.connection.execute(
        "select name_with_owner, valid_from from public.repository_names order by valid_from"
    ).fetchall() == [("octo/tool", began), ("octo/renamed", began + timedelta(hours=1))]
    by_old_name = api.plan(tool)
    assert (by_old_name.unchanged, by_old_name.failed) == (1, {})
    assert api.connection.execute("select count(*) from public.repositories").fetchone() == (1,)


def test_a_name_used_again_is_another_repository(
    api: Api, tool: str, small_history: History
) -> None:
    api.sync(tool)
    first = api.server.repositories[0]
    first.rename("octo", "moved")
    api.server.add(small_history.path)
    api.sync(*raw.known_urls(api.connection))
    api.sync(tool)
    assert api.connection.execute(
        "select repositories.github_id, url, count(*) from public.commits"
        " inner join public.repositories on repositories.id = repository_id"
        " group by 1, 2 order by 1"
    ).fetchall() == [
        (1_000, api.server.address(first), 1),
        (1_001, tool, int(small_history.git("rev-list", "--count", "main"))),
    ]


def test_a_repository_counts_as_missing_when_denied_twice_an_hour_apart(
    api: Api, tool: str
) -> None:
    api.sync(tool)

    def missing() -> tuple[object, ...] | None:
        return api.connection.execute("select missing_since from public.repositories").fetchone()

    rows = contents(api.connection)["commits"]
    api.server.hidden.add(1_000)
    denied_at = api.server.clock.now()
    assert "not found" in api.plan(tool).notes[0]
    api.server.clock.sleep(0.9 * HOUR)
    api.plan(tool)
    assert missing() == (None,)
    api.server.clock.sleep(0.1 * HOUR)
    assert "missing on GitHub" in api.plan(tool).notes[0]
    assert missing() == (denied_at,)
    assert contents(api.connection)["commits"] == rows
    api.server.hidden.clear()
    assert api.plan(tool).unchanged == 1
    assert missing() == (None,)


def test_a_404_that_flaps_is_no_missing_repository(api: Api, tool: str) -> None:
    api.sync(tool)
    api.server.hidden.add(1_000)
    api.server.on_request = lambda request: (
        api.server.hidden.clear() if "/repositories/" in request.path else None
    )
    assert "asks again" in api.plan(tool).notes[0]
    assert api.connection.execute(
        "select missing_first_seen_at from public.repositories"
    ).fetchone() == (None,)


def test_an_empty_repository_is_a_success_and_an_emptied_one_is_not(
    api: Api, history: History
) -> None:
    url = api.server.address(api.server.add(history.path))
    for path in ("graphql", "rest"):
        api.sync(url, path=path)
        assert api.connection.execute(
            "select state, is_empty from public.repositories"
        ).fetchall() == [("completed", True)]
    first = history.commit()
    history.point(first, "other")
    with pytest.raises(DefaultBranchError):
        api.sync(url)
    history.point(first)
    api.sync(url)
    history.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(RepositoryEmptiedError):
        api.sync(url)


def test_a_mistyped_repository_fails_in_the_plan_and_names_the_parameter(
    api: Api, tool: str
) -> None:
    planned = api.plan(tool, f"{api.server.url}/octo/tol", f"{api.server.url}/a/b/c")
    assert [plan.url for plan in planned.plans] == [tool]
    assert len(planned.failed) == 2
    assert all("`repositories`" in reason for reason in planned.failed.values())
    assert not api.server.calls["history"]


def test_an_organization_without_access_names_the_parameter_and_the_token(api: Api) -> None:
    with (
        api.open(api.settings()).client(api.database, "key") as client,
        pytest.raises(PermanentError, match=r"`organizations`.*`token_block`"),
    ):
        fetch_organization(client, "secret-corp", api.server.url)


def test_an_organization_is_listed_page_by_page(api: Api, tool: str) -> None:
    for number in range(120):
        api.server.add(api.server.repositories[0].path, owner="big", name=f"r{number}")
    with api.open(api.settings()).client(api.database, "key") as client:
        urls = fetch_organization(client, "big", api.server.url)
        assert len(set(urls)) == 120
        spent = api.server.meter.total("core")
        assert fetch_organization(client, "big", api.server.url) == urls
    assert api.server.meter.total("core") == spent, "unchanged lists cost nothing"


def test_no_token_is_said_before_anything_is_asked(api: Api) -> None:
    with pytest.raises(ApiConfigurationError, match=r"`token_block`.*`api.token_blocks`"):
        open_api(Secrets(), api.settings().api)
    assert not api.server.requests


def test_a_wrong_token_names_its_block_and_good_ones_go_on(api: Api, tool: str) -> None:
    settings = api.settings()
    with pytest.raises(TokenRejectedError, match="my-block"):
        open_api(Secrets((("my-block", "ghp_wrong"),)), settings.api, api.server.clock)
    tokens = (("my-block", "ghp_wrong"), ("pasted", "ghp_é"), ("other", "ghp_good"))
    opened = open_api(Secrets(tokens), settings.api, api.server.clock)
    assert len(opened.pool) == 1
    assert (set(opened.rejected), opened.rejected["my-block"]) == (
        {"my-block", "pasted"},
        "GitHub rejected it (401)",
    )
    assert "a character in it" in opened.rejected["pasted"]
    with pytest.raises(TokenRejectedError, match=r"my-block.*401.*pasted.*a character"):
        open_api(Secrets(tokens[:2]), settings.api, api.server.clock)


def test_a_token_revoked_in_the_middle_is_dropped_and_the_others_go_on(api: Api, tool: str) -> None:
    api.server.tokens = {"ghp_a": "user:1", "ghp_b": "user:2"}
    opened = api.open(api.settings())
    with opened.client(api.database, "key") as client:
        (first, *_) = opened.pool.order("key")
        revoked = next(t for t, identity in api.server.tokens.items() if identity == first)
        del api.server.tokens[revoked]
        assert client.rest("/repos/octo/tool").status == 200
        assert first not in opened.pool.order("key")
        api.server.tokens.clear()
        with pytest.raises(TokenRejectedError, match="block-"):
            client.rest("/repos/octo/tool")


def test_two_tokens_of_one_user_are_one_budget(api: Api) -> None:
    api.server.tokens = {"ghp_a": "user:1", "ghp_b": "user:1"}
    assert len(api.open(api.settings()).pool) == 1


@pytest.fixture(scope="module")
def app_key() -> tuple[str, str]:
    """Private and public key of a GitHub App, in PEM form."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def test_an_app_signs_in_and_renews_its_token_before_it_ends(
    api: Api, tool: str, app_key: tuple[str, str]
) -> None:
    private, api.server.app_public_key = app_key
    document = json.dumps({"app_id": 5, "installation_id": 77, "private_key": private})
    opened = open_api(Secrets(app=("app-block", document)), api.settings().api, api.server.clock)
    with opened.client(api.database, "key") as client:
        client.rest("/repos/octo/tool")
        api.server.clock.sleep(0.7 * HOUR)
        client.rest("/repos/octo/tool")
        assert api.server.minted == 1
        api.server.clock.sleep(0.2 * HOUR)
        client.rest("/repos/octo/tool")
    assert api.server.minted == 2
    assert api.connection.execute("select identity from github_api.budgets").fetchall() == [
        ("installation:77",)
    ]


@pytest.mark.parametrize(
    "document", ["not json", "{}", '{"app_id": 1, "installation_id": 2, "private_key": "s3cret"}']
)
def test_a_malformed_app_block_says_what_it_should_hold_and_repeats_nothing(
    api: Api, document: str
) -> None:
    with pytest.raises(ApiConfigurationError, match=r"`api.app_block`") as raised:
        open_api(Secrets(app=("app-block", document)), api.settings().api, api.server.clock)
    assert "s3cret" not in str(raised.value)


def test_no_token_is_found_anywhere_afterwards(
    api: Api, tool: str, app_key: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "ghp_Th1sMustNeverBeSeen"
    api.server.tokens = {secret: "user:1"}
    api.server.faults += [
        Fault("502", path="/graphql"),
        Fault("secondary", path="/graphql"),
        Fault("redirect", path="/compare", value="http://evil.example/"),
    ]
    said = []
    for path in ("graphql", "rest"):
        api.sync(tool, path=path, max_wait_seconds=HOUR)
        history = History(api.server.repositories[0].path)
        history.point(history.commit(b"more\n", parents=[history.head()]))
        try:
            api.sync(tool, path=path, max_wait_seconds=HOUR)
        except PlatformError as error:
            said.append(repr(error) + str(error) + repr(error.__dict__))
    api.server.tokens.clear()
    with pytest.raises(TokenRejectedError) as raised:
        open_api(Secrets((("b", secret),)), api.settings().api, api.server.clock)
    said += [str(raised.value), repr(Secrets((("b", secret),))), caplog.text, *api.server.requests]
    tables = api.connection.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema in ('public', 'github_api')"
    ).fetchall()
    assert len(tables) > 12
    for schema, table in tables:
        query = psycopg.sql.SQL("select coalesce(string_agg(t::text, ' '), '') from {} as t")
        found = api.connection.execute(query.format(psycopg.sql.Identifier(schema, table)))
        said.append(str(found.fetchone()))
    assert said[0], "an error is among what is searched"
    assert not [text for text in said if secret in text or "Th1sMust" in text]
