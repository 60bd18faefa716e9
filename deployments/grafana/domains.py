"""The dashboards of the five domains, of the models that the report shows."""

from deployments.grafana.records import Adapter, Board, Kind, Panel, Source

GITHUB = Source("analytics-github-scraper", Adapter.POSTGRES, "analytics")
LEDGERMIND = Source("analytics-ledgermind", Adapter.POSTGRES, "analytics")
SCOUT = Source("analytics-scout", Adapter.POSTGRES, "gold")
QUALITY = Source("analytics-quality-compass", Adapter.POSTGRES, "analytics")
AGENTS = Source("analytics-agents", Adapter.DUCKDB, "report")

GITHUB_BOARD = Board(
    "github-scraper",
    "GitHub",
    "Who builds which repository, how much, and on how few people it rests.",
    GITHUB,
    (
        Panel(
            "Bus factor",
            "The fewest people who together have half of what people committed.",
            Kind.STAT,
            "select max(bus_factor) as bus_factor from {rpt_github_concentration}",
            width=6,
        ),
        Panel(
            "Gini coefficient",
            "How unequally commits are spread over people: 0 all the same, 1 one has all.",
            Kind.STAT,
            "select max(gini_coefficient) as gini from {rpt_github_concentration}",
            width=6,
        ),
        Panel(
            "Leaders of 90 days",
            "The first 10 people by their commits of the newest 90 days, over all repositories.",
            Kind.BARS,
            "select display_name, commits from {rpt_github_leaderboard} where scope = 'overall' "
            "and kind = 'person' and time_window = 'trailing_90d' "
            "order by place limit 10",
        ),
        Panel(
            "Commits by week",
            "Commits of all repositories by week that is over, those of agents and of bots apart.",
            Kind.TIME_SERIES,
            "select cast(commit_week as timestamp) as time, "
            "commits - agent_commits - bot_commits as people, agent_commits as agents, "
            "bot_commits as bots from {rpt_github_weekly} where is_complete_week "
            "and $__timeFilter(cast(commit_week as timestamp)) order by 1",
        ),
        Panel(
            "Repositories",
            "The first 50 repositories by commits; a bus factor of 1 rests on one person.",
            Kind.TABLE,
            "select repository, total_commits, commits_90d, human_contributors, bus_factor, "
            "last_commit_date, case when retired_at is not null then 'retired' "
            "when paused_at is not null then 'paused' end as state "
            "from {rpt_github_repositories} order by commit_rank, repository_id limit 50",
        ),
    ),
    past="now-1y",
)
LEDGERMIND_BOARD = Board(
    "ledgermind",
    "LedgerMind",
    "Are transaction suggestions accepted, by which engine, and may one replace another.",
    LEDGERMIND,
    (
        Panel(
            "Accepted of judged",
            "Share of the judged suggestions that were accepted, by the day they were made that is "
            "over, with its 95 % Wilson interval.",
            Kind.TIME_SERIES,
            "select cast(created_date as timestamp) as time, accept_rate, wilson_low, wilson_high, "
            "expected_accept_rate from {rpt_ledgermind_daily} where is_complete_day "
            "and $__timeFilter(cast(created_date as timestamp)) order by 1",
            unit="percentunit",
        ),
        Panel(
            "Suggestions by day",
            "Suggestions made by day that is over, beside the number that their past lets expect.",
            Kind.TIME_SERIES,
            "select cast(created_date as timestamp) as time, events, expected_events "
            "from {rpt_ledgermind_daily} where is_complete_day "
            "and $__timeFilter(cast(created_date as timestamp)) order by 1",
        ),
        Panel(
            "By engine, 30 days",
            "Acceptance of the newest 30 days by the engine that suggested.",
            Kind.TABLE,
            "select member as engine, events, accepts, rejects, accept_rate, wilson_low, "
            "wilson_high from {rpt_ledgermind_groups} where dimension = 'engine' order by place",
        ),
        Panel(
            "May one replace another",
            "The newest look of each comparison: difference of acceptance with its interval.",
            Kind.TABLE,
            "select comparison, decision, difference, difference_low, difference_high, "
            "looked_at_date from {rpt_ledgermind_comparisons} order by comparison",
        ),
        Panel(
            "Unusual days",
            "The first 30 days, the newest first, whose number of suggestions or acceptance "
            "departs from what is expected.",
            Kind.TABLE,
            "select created_date, events, expected_events, accept_rate, expected_accept_rate "
            "from {rpt_ledgermind_daily} where is_events_anomaly or is_accept_rate_anomaly "
            "order by created_date desc limit 30",
        ),
    ),
)
SCOUT_BOARD = Board(
    "scout",
    "Scout",
    "What is bought, in which category, and whether it is normal.",
    SCOUT,
    (
        Panel(
            "Abnormal weeks",
            "The first 30 amounts, the newest first, that lie outside of the band of the weeks "
            "before.",
            Kind.TABLE,
            "select week, category, currency, total_amount, band_low, band_high "
            "from {rpt_scout_weeks} where is_anomaly "
            "order by week desc, category, currency limit 30",
        ),
        Panel(
            "Amount by week and category",
            "Validated transactions by week that is over; currencies are never added.",
            Kind.TIME_SERIES,
            "select cast(week as timestamp) as time, concat(category, ' ', currency) as metric, "
            "cast(total_amount as double precision) as amount from {rpt_scout_weeks} "
            "where is_complete_week and $__timeFilter(cast(week as timestamp)) order by 1, 2",
        ),
        Panel(
            "The newest complete month",
            "Amounts by category, and their change against the month before.",
            Kind.TABLE,
            "select month, category, currency, total_amount, transaction_count, mom_growth_pct "
            "from {rpt_scout_months} where is_complete_month and month = (select max(month) "
            "from {rpt_scout_months} where is_complete_month) order by total_amount desc",
        ),
        Panel(
            "What was rejected, and why",
            "Payloads that break a rule; superseded ones break none.",
            Kind.BARS,
            "select rejection_reason, payloads from {rpt_scout_rejections} "
            "where rejection_reason <> 'superseded' order by payloads desc",
        ),
        Panel(
            "Payloads that break no rule",
            "Share of the payloads of each week that is over.",
            Kind.TIME_SERIES,
            "select cast(week as timestamp) as time, sound_share from {rpt_scout_intake} "
            "where is_complete_week and $__timeFilter(cast(week as timestamp)) order by 1",
            unit="percentunit",
        ),
    ),
    past="now-1y",
)
QUALITY_BOARD = Board(
    "quality-compass",
    "Quality Compass",
    "Which facility needs attention first.",
    QUALITY,
    (
        Panel(
            "Which facility first",
            "The first 40 facilities of the newest run by the worst severity, of 100, of signals "
            "that are not favourable.",
            Kind.TABLE,
            "select facility_name, facility_id, max(worst_severity_score) as severity, "
            "sum(signals) as signals, sum(actionable_signals) as critical_or_high "
            "from {rpt_quality_facilities} group by 1, 2 order by min(facility_place)",
        ),
        Panel(
            "Since the run before",
            "Signals that are new, worse, better or gone, or of which that is unclear.",
            Kind.BARS,
            "select change, max(signals) as signals from {rpt_quality_changes} "
            "group by 1 order by 2 desc",
        ),
        Panel(
            "Critical or high by metric",
            "The first 15 metrics by their actionable signals of the newest run, in the first 40 "
            "facilities.",
            Kind.BARS,
            "select metric_name, sum(actionable_signals) as signals "
            "from {rpt_quality_facilities} group by 1 order by 2 desc, 1 limit 15",
        ),
        Panel(
            "What changed",
            "Of each kind of change the 15 signals that changed most, with their severity before "
            "and now.",
            Kind.TABLE,
            "select change, facility_name, metric_id, group_value, previous_severity_score, "
            "severity_score from {rpt_quality_changes} where change <> 'same' order by "
            "array_position(array['worse', 'new', 'better', 'gone', 'unclear'], change), place",
        ),
    ),
)
AGENTS_BOARD = Board(
    "agent-analytics",
    "Coding agents",
    "What coding agents cost, and what the month will cost.",
    AGENTS,
    (
        Panel(
            "The month",
            "So far and expected, with the interval that holds four of five months, and budget.",
            Kind.TABLE,
            "select month_start, month_to_date_cost_usd, forecast_low_usd, forecast_cost_usd, "
            "forecast_high_usd, monthly_budget_usd, budget_status from {rpt_agents_developers} "
            "where developer_id = 'all'",
            unit="currencyUSD",
        ),
        Panel(
            "Cost by day",
            "List price of the tokens of each day that is over, by agent.",
            Kind.TIME_SERIES,
            "select cast(date as timestamp) as time, agent as metric, "
            "cast(cost_usd as double precision) as cost from {rpt_agents_daily} "
            "where is_complete_day and $__timeFilter(cast(date as timestamp)) order by 1, 2",
            unit="currencyUSD",
        ),
        Panel(
            "By developer",
            "The first 40 developers by the cost of the month so far; who is over budget, or may "
            "be.",
            Kind.TABLE,
            "select developer, month_to_date_cost_usd, forecast_cost_usd, monthly_budget_usd, "
            "budget_status, assisted_commits, commits_with_cost, cost_per_commit_usd "
            "from {rpt_agents_developers} "
            "where developer_id <> 'all' order by place limit 40",
        ),
        Panel(
            "By model, 30 days",
            "The first 40 models of agents by list price, and what the vendor reports; tokens "
            "without a price are in no cost.",
            Kind.TABLE,
            "select model_name, agent_type, cost_usd, reported_cost_usd, total_tokens, "
            "cache_hit_rate, unpriced_tokens from {rpt_agents_models} order by place limit 40",
        ),
    ),
)
BOARDS = (GITHUB_BOARD, LEDGERMIND_BOARD, SCOUT_BOARD, QUALITY_BOARD, AGENTS_BOARD)
