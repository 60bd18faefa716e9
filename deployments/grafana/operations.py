"""The dashboard of operations: how new the facts are, what was refused, what waits in the inbox."""

from deployments.grafana.domains import AGENTS, GITHUB, LEDGERMIND, QUALITY, SCOUT
from deployments.grafana.records import Adapter, Board, Kind, Panel, Source

INBOX = Source("analytics-webhooks", Adapter.POSTGRES, "webhooks")


def _newest(title: str, source: Source, sql: str) -> Panel:
    return Panel(
        f"{title}: newest fact",
        "The newest day that the domain's marts know of.",
        Kind.STAT,
        sql,
        unit="dateTimeAsIso",
        width=4,
        source=source,
    )


BOARD = Board(
    "operations",
    "Operations",
    "How new the facts of each domain are, what was refused, and what the inbox takes in.",
    INBOX,
    (
        _newest(
            "GitHub",
            GITHUB,
            "select cast(max(as_of_date) as timestamp) as newest from {rpt_github_weekly}",
        ),
        _newest(
            "LedgerMind",
            LEDGERMIND,
            "select cast(max(last_date) as timestamp) as newest from {rpt_ledgermind_groups}",
        ),
        _newest(
            "Scout",
            SCOUT,
            "select cast(max(week) as timestamp) as newest from {rpt_scout_intake}",
        ),
        _newest(
            "Quality Compass",
            QUALITY,
            "select cast(max(detected_date) as timestamp) as newest from {rpt_quality_facilities}",
        ),
        _newest(
            "Coding agents",
            AGENTS,
            "select cast(max(date) as timestamp) as newest from {rpt_agents_daily}",
        ),
        Panel(
            "Events that wait to be told",
            "Deliveries whose event the Prefect server has not stored yet; more than a few for "
            "minutes means that it does not answer.",
            Kind.STAT,
            "select count(*) as events from {outbox} where stored_at is null and due_at < now()",
            width=4,
            bad_from=100,
        ),
        Panel(
            "Deliveries by hour",
            "What the receiver has taken in by hour that is over, by sender.",
            Kind.TIME_SERIES,
            "select date_trunc('hour', received_at) as time, source as metric, "
            "count(*) as deliveries from {deliveries} "
            "where received_at < date_trunc('hour', now()) and $__timeFilter(received_at) "
            "group by 1, 2 order by 1, 2",
        ),
        Panel(
            "Deliveries that say another thing under a known id",
            "Kept apart and read by nobody: the sender numbers wrongly, or somebody pretends. By "
            "hour that is over.",
            Kind.TIME_SERIES,
            "select date_trunc('hour', received_at) as time, source as metric, "
            "count(*) as conflicts from {conflicts} where received_at < date_trunc('hour', now()) "
            "and $__timeFilter(received_at) group by 1, 2 order by 1, 2",
        ),
        Panel(
            "Rows of LedgerMind that cannot be used",
            "By table and reason, as its last build found them.",
            Kind.TABLE,
            "select source_table, reason, rejected_rows from {rpt_ledgermind_rejected} "
            "order by rejected_rows desc, source_table, reason",
            source=LEDGERMIND,
        ),
        Panel(
            "Payloads of Scout that break a rule",
            "By reason, with the time at which the newest came.",
            Kind.TABLE,
            "select rejection_reason, payloads, share_of_judged, newest_ingested_at "
            "from {rpt_scout_rejections} where rejection_reason <> 'superseded' "
            "order by payloads desc",
            source=SCOUT,
        ),
        Panel(
            "Senders that have fallen silent",
            "The first 40, those seen last first, of whom telemetry came and comes no more.",
            Kind.TABLE,
            "select developer_id, agent_type, signal, last_seen_at from {rpt_agents_silent} "
            "order by place limit 40",
            source=AGENTS,
        ),
    ),
    past="now-7d",
)
