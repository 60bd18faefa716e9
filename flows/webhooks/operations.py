"""Flows that look after the inbox: purge, replay, and what GitHub failed to deliver."""

from datetime import UTC, datetime, timedelta

import httpx
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from flows._shared.errors import PermanentError
from flows._shared.orchestration.credentials import secret_value
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.outgoing import check_proxies, header_token
from flows.webhooks.github import LOOK_BACK, HookApi, Missing, missing
from flows.webhooks.inbox import prepare_inbox
from flows.webhooks.settings import GitHubHook, ReconcileSettings, RetentionSettings
from flows.webhooks.upkeep import Purged
from flows.webhooks.upkeep import purge as purge_inbox
from flows.webhooks.upkeep import replay as replay_inbox

IN_INBOX = """
select delivery_id from webhooks.deliveries where source = 'github' and received_at >= %s
"""
HTTP_SECONDS = 30.0


@flow(
    name="webhooks-purge",
    flow_run_name=RunName("webhooks inbox, bodies over {settings.body_days} days, at {now}"),
)
def purge(settings: RetentionSettings = RetentionSettings()) -> None:
    """Remove old bodies, and after longer the deliveries themselves.

    Args:
        settings: How long each is kept.
    """
    purged = purge_once(settings)
    get_run_logger().info(
        "Removed %s bodies, %s deliveries, %s conflicts",
        *(purged.bodies, purged.deliveries, purged.conflicts),
    )


@task(name="purge", retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=retry_transient)
def purge_once(settings: RetentionSettings) -> Purged:
    with connect(settings.database_block) as connection:
        prepare_inbox(connection)
        return purge_inbox(
            connection,
            datetime.now(UTC),
            settings.body_days,
            settings.delivery_days,
            settings.batch_rows,
        )


@flow(
    name="webhooks-replay",
    flow_run_name=RunName("webhooks inbox, {source} from {since} to {until} time, at {now}"),
)
def replay(
    source: str,
    ids: list[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    database_block: str = "webhooks-postgres",
) -> None:
    """Have readers of the inbox read deliveries again, and start what their events start.

    Args:
        source: Name of the sender in the inbox, such as `github` or `n8n`.
        ids: Ids of the deliveries to read again; or give a time range.
        since: Deliveries received at or after this time.
        until: Deliveries received before this time.
        database_block: SqlAlchemyConnector block of the inbox.
    """
    count = replay_once(source, ids, since, until, database_block)
    get_run_logger().info("Replayed %s deliveries of %s", count, source)


@task(name="replay")
def replay_once(
    source: str,
    ids: list[str] | None,
    since: datetime | None,
    until: datetime | None,
    database_block: str,
) -> int:
    with connect(database_block) as connection:
        return replay_inbox(connection, source, ids or (), _aware(since), _aware(until))


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone, as forms give it, is UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@flow(
    name="github-webhooks-reconcile",
    flow_run_name=RunName("webhooks inbox, {settings.days} days of GitHub to {now}"),
)
def reconcile(settings: ReconcileSettings = ReconcileSettings()) -> None:
    """Compare GitHub's record of deliveries with the inbox; ask again for those that are missing.

    Args:
        settings: The hooks, and the token that may administer them.
    """
    if not settings.hooks:
        get_run_logger().info("No hooks are configured (setting `hooks`): nothing to reconcile")
        return
    lost = []
    for hook in settings.hooks:
        name = f"{hook.repository or hook.organization} hook {hook.hook_id}"
        found = reconcile_hook.with_options(task_run_name=f"reconcile-{name}")(hook, settings)
        get_run_logger().info("%s: asked again for %s deliveries", name, len(found.again))
        lost += [
            {"hook": name, "delivery": each.guid, "event": each.event, "at": each.delivered_at}
            for each in (*found.too_old, *found.given_up)
        ]
    if lost:
        get_run_logger().warning(
            "%s deliveries are missing and cannot be had again; a sync compares heads and finds "
            "their commits all the same. See the artifact webhooks-lost-deliveries",
            len(lost),
        )
        create_table_artifact(
            table=[{key: str(value) for key, value in each.items()} for each in lost],
            key="webhooks-lost-deliveries",
            description="Deliveries that GitHub has tried and the inbox never got",
        )


@task(retries=3, retry_delay_seconds=[10, 60, 300], retry_condition_fn=retry_transient)
def reconcile_hook(hook: GitHubHook, settings: ReconcileSettings) -> Missing:
    now = datetime.now(UTC)
    since = now - timedelta(days=settings.days) - LOOK_BACK
    token = header_token(secret_value(settings.token_block), f"the block {settings.token_block}")
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
    }
    check_proxies()
    with httpx.Client(base_url=settings.api_url, headers=headers, timeout=HTTP_SECONDS) as client:
        api = HookApi(client, hook)
        attempts = list(api.attempts(since))
        # The inbox is asked afterwards: what arrived meanwhile is not missing.
        known = _in_inbox(settings.database_block, since)
        found = missing(attempts, known, now, settings.days, settings.settle_seconds)
        for each in found.again:
            api.redeliver(each)
    return found


def _in_inbox(database_block: str, since: datetime) -> set[str]:
    with connect(database_block) as connection:
        exists = connection.execute("select to_regclass('webhooks.deliveries')").fetchone()
        if exists == (None,):
            raise PermanentError(
                "reconciling GitHub's deliveries with the inbox",
                "there is no inbox in this database",
                "Check the setting `database_block`, and start a receiver: it makes the inbox",
            )
        return {row[0] for row in connection.execute(IN_INBOX, (since,)).fetchall()}
