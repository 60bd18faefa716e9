{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

with usage as (

    select
        session_id,
        any_value(input_hash) as input_hash
    from {{ ref('int_token_costs') }}
    group by session_id

),

inputs as (

    select
        sessions.session_id,
        developers.developer_id,
        hash(sessions.input_hash, developers.developer_id, usage.input_hash) as input_hash
    from {{ ref('stg_agent_sessions') }} as sessions
    inner join {{ ref('int_developer_names') }} as developers
        on lower(trim(sessions.developer_id)) = developers.name
    left join usage on sessions.session_id = usage.session_id

),

touched as (

    {{ touched('session_id') }}

),

sessions as (

    select
        sessions.* replace (
            inputs.developer_id as developer_id, inputs.input_hash as input_hash
        )
    from {{ ref('stg_agent_sessions') }} as sessions
    inner join inputs on sessions.session_id = inputs.session_id
    where sessions.session_id in (select touched.session_id from touched)

),

-- Summed before it is joined: a session that used two models has two rows of usage.
session_usage as (

    select
        session_id,
        count(distinct model_name) as models_used,
        sum(total_input_tokens) as total_input_tokens,
        sum(total_output_tokens) as total_output_tokens,
        sum(total_cache_creation_tokens) as total_cache_creation_tokens,
        sum(total_cache_read_tokens) as total_cache_read_tokens,
        sum(total_reasoning_tokens) as total_reasoning_tokens,
        sum(total_tokens) as total_tokens,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(list_cost_usd) as session_cost_usd,
        sum(reported_cost_usd) as reported_cost_usd
    from {{ ref('int_token_costs') }}
    where session_id in (select touched.session_id from touched)
    group by session_id

),

final as (

    select
        sessions.session_id,
        sessions.is_session_known,
        sessions.developer_id,
        sessions.agent_type,
        sessions.model_name,
        sessions.session_start,
        sessions.session_end,
        sessions.duration_seconds,
        sessions.active_seconds,
        sessions.ended_reason,
        sessions.block_count,
        sessions.blocks,
        coalesce(session_usage.models_used, 0) as models_used,
        cast(coalesce(session_usage.total_input_tokens, 0) as bigint) as total_input_tokens,
        cast(coalesce(session_usage.total_output_tokens, 0) as bigint) as total_output_tokens,
        cast(coalesce(session_usage.total_cache_creation_tokens, 0) as bigint)
            as total_cache_creation_tokens,
        cast(coalesce(session_usage.total_cache_read_tokens, 0) as bigint)
            as total_cache_read_tokens,
        cast(coalesce(session_usage.total_reasoning_tokens, 0) as bigint)
            as total_reasoning_tokens,
        cast(coalesce(session_usage.total_tokens, 0) as bigint) as total_tokens,
        cast(coalesce(session_usage.unpriced_tokens, 0) as bigint) as unpriced_tokens,
        session_usage.session_cost_usd,
        session_usage.reported_cost_usd,
        session_usage.reported_cost_usd - session_usage.session_cost_usd as cost_variance_usd,
        coalesce(
            {{ shared.safe_divide('session_usage.total_tokens', 'sessions.duration_seconds') }}, 0
        ) as tokens_per_second,
        sessions.input_hash
    from sessions
    left join session_usage on sessions.session_id = session_usage.session_id

)

select * from final
{{ and_replaced('session_id') }}
