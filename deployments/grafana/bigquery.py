"""The dashboards of marts on BigQuery: the models of the report are built on PostgreSQL only."""

from deployments.grafana.records import Adapter, Board, Kind, Panel, Source

GITHUB = Source("analytics-github-scraper-bigquery", Adapter.BIGQUERY, "github_scraper")
LEDGERMIND = Source("analytics-ledgermind-bigquery", Adapter.BIGQUERY, "ledgermind")
# Each day of LedgerMind that was over when its marts were built is watched for anomalies, no other.

GITHUB_BOARD = Board(
    "github-scraper-bigquery",
    "GitHub (BigQuery)",
    "Who builds which repository, how much, and on how few people it rests.",
    GITHUB,
    (
        Panel(
            "Leaders of 90 days",
            "The first 10 people by their commits of the newest 90 days, over all repositories.",
            Kind.BARS,
            "select display_name, commits from {leaderboard} where scope = 'overall' "
            "and kind = 'person' and time_window = 'trailing_90d' "
            "order by rank_in_kind, contributor_id limit 10",
        ),
        Panel(
            "Commits by day",
            "Commits by the day of their date in UTC that is over, over all repositories; one that "
            "several have counts in each.",
            Kind.TIME_SERIES,
            "select cast(commit_day as timestamp) as time, sum(commits_count) as commits "
            "from {fct_daily_commits} "
            "where commit_day < (select max(as_of_date) from {leaderboard}) "
            "and $__timeFilter(cast(commit_day as timestamp)) group by 1 order by 1",
        ),
        Panel(
            "Repositories",
            "The first 50 repositories by commits; a bus factor of 1 rests on one person.",
            Kind.TABLE,
            "select url as repository, total_commits, commits_90d, human_contributors, "
            "bus_factor, last_commit_date, case when retired_at is not null then 'retired' "
            "when paused_at is not null then 'paused' end as state from {repository_summary} "
            "order by commit_rank, repository_id limit 50",
            width=24,
        ),
    ),
    past="now-1y",
)
LEDGERMIND_BOARD = Board(
    "ledgermind-bigquery",
    "LedgerMind (BigQuery)",
    "Are transaction suggestions accepted, by which model, and may one replace another.",
    LEDGERMIND,
    (
        Panel(
            "Accepted of judged",
            "Share of the judged suggestions that were accepted, by the day they were made that is "
            "over.",
            Kind.TIME_SERIES,
            "select cast(created_date as timestamp) as time, "
            "safe_divide(sum(accepts), sum(accepts + rejects)) as accept_rate "
            "from {mart_suggestions_feedback_daily} "
            "where created_date <= (select max(created_date) from {mart_suggestions_anomalies}) "
            "and $__timeFilter(cast(created_date as timestamp)) group by 1 order by 1",
            unit="percentunit",
        ),
        Panel(
            "Suggestions by day",
            "Suggestions made, by mode and day that is over.",
            Kind.TIME_SERIES,
            "select cast(created_date as timestamp) as time, mode as metric, "
            "sum(events) as suggestions from {mart_suggestions_feedback_daily} "
            "where created_date <= (select max(created_date) from {mart_suggestions_anomalies}) "
            "and $__timeFilter(cast(created_date as timestamp)) group by 1, 2 order by 1, 2",
        ),
        Panel(
            "Unusual days",
            "The first 30, the newest first, of the days on which a metric departs from what its "
            "past lets expect, and who looks at it.",
            Kind.TABLE,
            "select created_date, metric, observed, expected, owner "
            "from {mart_suggestions_anomalies} where is_anomaly "
            "order by created_date desc, metric limit 30",
        ),
        Panel(
            "May one replace another",
            "The newest look of each comparison: difference of acceptance with its interval.",
            Kind.TABLE,
            "select comparison, decision, difference, difference_low, difference_high, "
            "looked_at_date from {mart_ab_comparison} where true "
            "qualify row_number() over (partition by comparison order by created_date desc) = 1 "
            "order by comparison",
        ),
        Panel(
            "By model",
            "The first 40 models, those of the newest suggestions first: acceptance in their phase "
            "with its 95 % Wilson interval.",
            Kind.TABLE,
            "select model_id, phase, events, verdicts, accept_rate, wilson_low, wilson_high, "
            "promotion from {mart_model_comparison} order by last_date desc, model_id limit 40",
            width=24,
        ),
    ),
)
BOARDS = (GITHUB_BOARD, LEDGERMIND_BOARD)
