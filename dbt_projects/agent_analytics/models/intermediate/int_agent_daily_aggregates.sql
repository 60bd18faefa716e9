{{
    config(
        materialized='incremental',
        unique_key='usage_date',
    )
}}

with sessions as (

    select
        *,
        cast(session_start as date) as start_date
    from {{ ref('int_sessions_with_costs') }}

),

-- A day is made from the usage and the commits of the day and from the sessions that start on it.
parts as (

    select
        costs.usage_date,
        hash('usage', costs.agent_type, costs.model_name, sessions.input_hash) as input_hash
    from {{ ref('int_token_costs') }} as costs
    inner join sessions on costs.session_id = sessions.session_id

    union all

    select
        start_date as usage_date,
        hash('session', session_id, input_hash) as input_hash
    from sessions
    where is_session_known

    union all

    select
        commit_date as usage_date,
        hash('commit', commit_hash, input_hash) as input_hash
    from {{ ref('int_commits_with_agent_context') }}
    where is_agent_assisted = 1

),

inputs as (

    select
        usage_date,
        {{ hash_of_rows('input_hash') }} as input_hash
    from parts
    group by usage_date

),

touched as (

    {{ touched('usage_date') }}

),

-- Each side is summed to the grain by itself and the sums are stacked: nothing is joined that
-- could repeat a row of another side. Tokens and cost count on the day they were used, a session on
-- the day it starts, a commit on the day it is made.
usage_by_day as (

    select
        costs.usage_date,
        sessions.developer_id,
        costs.agent_type,
        costs.model_name,
        count(distinct costs.session_id) filter (where sessions.is_session_known)
            as active_sessions,
        sum(costs.total_input_tokens) as total_input_tokens,
        sum(costs.total_output_tokens) as total_output_tokens,
        sum(costs.total_cache_creation_tokens) as total_cache_creation_tokens,
        sum(costs.total_cache_read_tokens) as total_cache_read_tokens,
        sum(costs.total_reasoning_tokens) as total_reasoning_tokens,
        sum(costs.total_tokens) as total_tokens,
        sum(costs.unpriced_tokens) as unpriced_tokens,
        sum(costs.list_cost_usd) as total_cost_usd,
        sum(costs.may_cost_more_usd) as may_cost_more_usd,
        sum(costs.reported_cost_usd) as reported_cost_usd
    from {{ ref('int_token_costs') }} as costs
    inner join sessions on costs.session_id = sessions.session_id
    where costs.usage_date in (select touched.usage_date from touched)
    group by costs.usage_date, sessions.developer_id, costs.agent_type, costs.model_name

),

sessions_by_day as (

    select
        start_date as usage_date,
        developer_id,
        agent_type,
        model_name,
        count(*) as total_sessions,
        sum(duration_seconds) as total_duration_seconds
    from sessions
    where is_session_known and start_date in (select touched.usage_date from touched)
    group by start_date, developer_id, agent_type, model_name

),

commits_by_day as (

    select
        commit_date as usage_date,
        developer_id,
        agent_type,
        model_name,
        count(*) as agent_assisted_commits,
        sum(lines_added) as agent_assisted_lines_added,
        sum(lines_deleted) as agent_assisted_lines_deleted
    from {{ ref('int_commits_with_agent_context') }}
    where is_agent_assisted = 1 and commit_date in (select touched.usage_date from touched)
    group by commit_date, developer_id, agent_type, model_name

),

stacked as (

    select * from usage_by_day
    union all by name
    select * from sessions_by_day
    union all by name
    select * from commits_by_day

),

summed as (

    select
        usage_date,
        developer_id,
        agent_type,
        model_name,
        cast(coalesce(sum(total_sessions), 0) as bigint) as total_sessions,
        cast(coalesce(sum(active_sessions), 0) as bigint) as active_sessions,
        coalesce(sum(total_duration_seconds), 0) as total_duration_seconds,
        cast(coalesce(sum(total_input_tokens), 0) as bigint) as total_input_tokens,
        cast(coalesce(sum(total_output_tokens), 0) as bigint) as total_output_tokens,
        cast(coalesce(sum(total_cache_creation_tokens), 0) as bigint)
            as total_cache_creation_tokens,
        cast(coalesce(sum(total_cache_read_tokens), 0) as bigint) as total_cache_read_tokens,
        cast(coalesce(sum(total_reasoning_tokens), 0) as bigint) as total_reasoning_tokens,
        cast(coalesce(sum(total_tokens), 0) as bigint) as total_tokens,
        cast(coalesce(sum(unpriced_tokens), 0) as bigint) as unpriced_tokens,
        sum(total_cost_usd) as total_cost_usd,
        coalesce(sum(may_cost_more_usd), 0) as may_cost_more_usd,
        sum(reported_cost_usd) as reported_cost_usd,
        cast(coalesce(sum(agent_assisted_commits), 0) as bigint) as agent_assisted_commits,
        cast(coalesce(sum(agent_assisted_lines_added), 0) as bigint) as agent_assisted_lines_added,
        cast(coalesce(sum(agent_assisted_lines_deleted), 0) as bigint)
            as agent_assisted_lines_deleted
    from stacked
    group by usage_date, developer_id, agent_type, model_name

),

final as (

    select
        summed.*,
        touched.input_hash,
        {{ shared.safe_divide('total_duration_seconds', 'total_sessions') }}
            as avg_duration_seconds,
        {{ shared.safe_divide('total_cost_usd', 'total_sessions') }}
            as avg_cost_per_session_usd
    from summed
    inner join touched on summed.usage_date = touched.usage_date

)

select * from final
{{ and_replaced('usage_date') }}
