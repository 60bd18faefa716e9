"""What a person should know of the published marts, without Prefect."""

from datetime import date
from decimal import Decimal

from flows._shared.counted import counted
from flows.agent_analytics import raw

# A tier without a price of its own is named where the model has one.
UNPRICED = """
    with unpriced as (
        select * from intermediate.int_token_costs where unpriced_tokens > 0
    ),
    specials as (
        select
            session_id, usage_date, agent_type, model_name,
            unnest(special_usage, recursive := true)
        from staging.stg_agent_token_usage
    ),
    tiers as (
        select model_name, string_agg(distinct service_tier, ', ' order by service_tier) as tiers
        from specials
        semi join unpriced using (session_id, usage_date, agent_type, model_name)
        where service_tier not in ('standard', 'without tokens')
        group by model_name
    )
    select
        model_name, cast(sum(unpriced_tokens) as bigint), min(usage_date),
        -- A price that changes later was announced; how new the list is, its newest model says.
        (select max(first_day) from (
            select min(effective_from) as first_day from staging.model_prices group by model_prefix
        )), tiers
    from unpriced
    left join tiers using (model_name)
    group by model_name, tiers order by model_name
"""
NAMED_AT_MOST = 10
NOT_UNDERSTOOD = f"""
    select
        agent_type, signal, name, cast(sum(observations) as bigint), count(*), treatment,
        string_agg(distinct uncounted_types, ', ' order by uncounted_types)
    from mart.fct_agent_signals where treatment in ('unknown', 'partly counted')
    group by agent_type, signal, name, treatment
    order by 4 desc, name, agent_type, signal, treatment limit {NAMED_AT_MOST}
"""  # noqa: S608
SILENT = f"""
    select distinct developer_id, agent_type, signal, signal_last_seen_at
    from mart.fct_agent_signals where is_silent
    order by 4 desc, developer_id, signal limit {NAMED_AT_MOST}
"""  # noqa: S608
BUDGETS = """
    select developer_id, budget_status, forecast_cost_usd, monthly_budget_usd, unpriced_tokens
    from mart.fct_cost_forecast where budget_status not in ('within', 'no budget')
    order by developer_id
"""
OF_SEVERAL = f"""
    with told as (
        select session_id, developer_id from raw.otel_logs
        union
        select session_id, developer_id from raw.otel_counters
    ),
    developers as (
        select told.session_id, names.developer_id, min(told.developer_id) as called
        from told
        inner join intermediate.int_developer_names as names
            on lower(trim(told.developer_id)) = names.name
        where told.developer_id <> 'unknown'
        group by told.session_id, names.developer_id
    )
    select
        session_id, string_agg(developers.called, ', ' order by developers.called),
        any_value(sessions.developer_id)
    from developers
    inner join intermediate.int_sessions_with_costs as sessions using (session_id)
    where sessions.is_session_known
    group by session_id
    having count(*) > 1
    order by session_id limit {NAMED_AT_MOST}
"""  # noqa: S608


def warnings_of(store: raw.Store) -> tuple[str, ...]:
    """What a person should know of the published marts.

    Models without a price, usage that is not understood, sessions of several developers, clients
    that fell silent, budgets.
    """
    with store.reader() as connection:
        unpriced = connection.execute(UNPRICED).fetchall()
        not_understood = connection.execute(NOT_UNDERSTOOD).fetchall()
        of_several = connection.execute(OF_SEVERAL).fetchall()
        silent = connection.execute(SILENT).fetchall()
        budgets = connection.execute(BUDGETS).fetchall()
    return (
        *(_price_warning(*row) for row in unpriced),
        *(_signal_warning(*row) for row in not_understood),
        *(
            f"The session {session} came from {developers}: all that it used counts for {one}. "
            "Let each client choose its own session.id"
            for session, developers, one in of_several
        ),
        *(
            f"{developer}: no {signal}s of {agent} since {seen:%Y-%m-%d %H:%M} UTC"
            for developer, agent, signal, seen in silent
        ),
        *(_budget_warning(*row) for row in budgets),
    )


def _signal_warning(
    agent: str, signal: str, name: str, observations: int, developers: int, treatment: str, of: str
) -> str:
    what = f" ({of})" if of else ""
    fate = "is not counted" if treatment == "unknown" else "is counted in part only"
    return (
        f"The {signal} {name} of {agent} seems to tell of usage, and {fate}{what}: "
        f"{observations:,} from {counted(developers, 'developer')}. Add it to agent_signals.csv"
    )


def _price_warning(
    model: str, tokens: int, first_day: date, newest_model: date, tiers: str | None
) -> str:
    newer = (
        f" It was first used on {first_day}, after the newest model of the list ({newest_model}):"
        " the list may be older than the model."
        if first_day > newest_model
        else ""
    )
    without = counted(tokens, "token has", "tokens have")
    of_tier = f" of the tier {tiers}" if tiers else ""
    return f"{model}{of_tier} has no price: {without} no cost. Add it to model_prices.csv.{newer}"


def _budget_warning(
    developer: str, status: str, cost: float | None, budget: Decimal, unpriced: int
) -> str:
    expected = "no cost known" if cost is None else f"{cost:,.2f} USD expected"
    without = counted(unpriced, "token that has", "tokens that have")
    missing = f", without {without} no price" if unpriced else ""
    return f"{developer}: {status}: {expected} this month{missing}, budget {budget:,.2f}"
