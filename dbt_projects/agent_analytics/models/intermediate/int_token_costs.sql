{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

{%- set kinds = [
    'input_tokens', 'output_tokens', 'cache_creation_tokens', 'cache_read_tokens',
    'reported_cost_usd',
] -%}

-- The linter loses the indentation of lists that a loop writes.
-- noqa: disable=LT02
with sessions as (

    select
        session_id,
        developer_id,
        is_session_known
    from {{ ref('stg_agent_sessions') }}

),

used as (

    select
        session_id,
        any_value(input_hash) as input_hash
    from {{ ref('stg_agent_token_usage') }}
    group by session_id

),

-- A client can leave the session off its counters, not off its events: what a developer's counters
-- tell without a session, events tell in the sessions.
developers as (

    select
        sessions.developer_id,
        {{ hash_of_rows('used.input_hash') }} as input_hash
    from used
    inner join sessions on used.session_id = sessions.session_id
    where sessions.is_session_known
    group by sessions.developer_id

),

-- A session is made from its usage and from the list of prices as a whole; usage without a session
-- also from that of the developer's sessions.
inputs as (

    select
        used.session_id,
        hash(
            used.input_hash,
            developers.input_hash,
            (
                select {{ hash_of_rows('prices') }}
                from {{ ref('model_prices') }} as prices  -- noqa: AL05
            )
        ) as input_hash
    from used
    left join sessions on used.session_id = sessions.session_id
    left join developers
        on not sessions.is_session_known and sessions.developer_id = developers.developer_id

),

touched as (

    {{ touched('session_id') }}

),

usage_of_developers as (

    select
        usage.session_id,
        sessions.developer_id,
        sessions.is_session_known,
        usage.agent_type,
        usage.model_name,
        usage.usage_date,
        {%- for kind in kinds %}
        case
            when sessions.is_session_known
                then least(usage.{{ kind }}_by_metrics - usage.{{ kind }}_by_events, 0)
            else
                {{ 'coalesce(usage.' ~ kind ~ ', 0)' if loop.last else 'usage.total_' ~ kind }}
                - usage.{{ kind }}_by_events
        end as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_agent_token_usage') }} as usage
    inner join sessions on usage.session_id = sessions.session_id
    where
        sessions.developer_id in (
            select nameless.developer_id
            from sessions as nameless
            inner join touched on nameless.session_id = touched.session_id
            where not nameless.is_session_known
        )

),

days_of_developers as (

    select
        developer_id,
        agent_type,
        model_name,
        usage_date,
        max(session_id) filter (where not is_session_known) as session_id,
        {%- for kind in kinds %}
        sum({{ kind }}) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from usage_of_developers
    group by developer_id, agent_type, model_name, usage_date

),

after_days as (

    select
        *,
        usage_date - lag(usage_date) over (
            partition by developer_id, agent_type, model_name order by usage_date
        ) > 1 as is_after_silence
    from days_of_developers

),

runs as (

    select
        *,
        count(*) filter (where is_after_silence) over (
            partition by developer_id, agent_type, model_name order by usage_date
        ) as run_number
    from after_days

),

ahead as (

    select
        *,
        {%- for kind in kinds %}
        sum({{ kind }}) over (
            partition by developer_id, agent_type, model_name, run_number order by usage_date
        ) as {{ kind }}_ahead{{ ',' if not loop.last }}
        {%- endfor %}
    from runs

),

most_ahead as (

    select
        *,
        {%- for kind in kinds %}
        greatest(
            max({{ kind }}_ahead) over (
                partition by developer_id, agent_type, model_name, run_number order by usage_date
            ),
            0
        ) as {{ kind }}_most_ahead{{ ',' if not loop.last }}
        {%- endfor %}
    from ahead

),

by_metrics_alone as (

    select
        session_id,
        agent_type,
        model_name,
        usage_date,
        {%- for kind in kinds %}
        {{ kind }}_most_ahead - coalesce(
            lag({{ kind }}_most_ahead) over (
                partition by developer_id, agent_type, model_name, run_number order by usage_date
            ),
            0
        ) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from most_ahead
    qualify session_id is not null

),

counted as (

    select
        usage.session_id,
        usage.usage_date,
        usage.agent_type,
        usage.model_name,
        usage.usage_source,
        usage.total_requests,
        {%- for kind in kinds[:4] %}
        cast(
            coalesce(usage.{{ kind }}_by_events + alone.{{ kind }}, usage.total_{{ kind }})
            as bigint
        ) as total_{{ kind }},
        {%- endfor %}
        case
            when usage.reported_cost_usd is not null
                then coalesce(
                    usage.reported_cost_usd_by_events + alone.reported_cost_usd,
                    usage.reported_cost_usd
                )
        end as reported_cost_usd,
        usage.total_tokens + usage.total_cache_read_tokens as tokens_told,
        touched.input_hash
    from {{ ref('stg_agent_token_usage') }} as usage
    inner join touched on usage.session_id = touched.session_id
    left join by_metrics_alone as alone
        on
            usage.session_id = alone.session_id
            and usage.agent_type = alone.agent_type
            and usage.model_name = alone.model_name
            and usage.usage_date = alone.usage_date

),

usage as (

    select
        *,
        total_input_tokens + total_output_tokens + total_cache_creation_tokens as total_tokens
    from counted

),

models as (

    select distinct
        model_name,
        usage_date,
        {{ price_name('model_name') }} as price_name
    from usage

),

-- Names come with a provider before and a date behind: anthropic/claude-sonnet-4-5-20250929. Of the
-- price names that begin it the longest counts. What stands behind it may only say which build or
-- window of the same model it is: claude-opus-5-5 is another model than claude-opus-5.
model_prices as (

    select
        models.model_name,
        models.usage_date,
        prices.input,
        prices.cache_write_5m,
        prices.cache_read,
        prices.output
    from models
    inner join {{ ref('model_prices') }} as prices
        on
            starts_with(models.price_name, prices.model_prefix)
            and regexp_matches(
                substr(models.price_name, length(prices.model_prefix) + 1),
                '^(-?[0-9]{8}|-latest)?(-v[0-9]+)?([@\[:].*)?$'
            )
            and models.usage_date >= prices.effective_from
            and models.usage_date < coalesce(prices.effective_to, date '9999-12-31')
    qualify row_number() over (
            partition by models.model_name, models.usage_date
            order by length(prices.model_prefix) desc, prices.effective_from desc
        ) = 1

),

final as (

    select
        usage.session_id,
        usage.usage_date,
        usage.agent_type,
        usage.model_name,
        usage.usage_source,
        usage.total_requests,
        usage.total_input_tokens,
        usage.total_output_tokens,
        usage.total_cache_creation_tokens,
        usage.total_cache_read_tokens,
        usage.total_tokens,
        usage.reported_cost_usd,
        usage.tokens_told - usage.total_tokens - usage.total_cache_read_tokens
            as told_twice_tokens,
        -- Decimals: sums are the same in whichever order they are added.
        cast(
            cast(0.000001 as decimal(7, 6)) * (
                cast(usage.total_input_tokens as decimal(18, 0)) * model_prices.input
                + cast(usage.total_output_tokens as decimal(18, 0)) * model_prices.output
                + cast(usage.total_cache_creation_tokens as decimal(18, 0))
                * model_prices.cache_write_5m
                + cast(usage.total_cache_read_tokens as decimal(18, 0)) * model_prices.cache_read
            ) as decimal(28, 10)
        ) as list_cost_usd,
        case
            when model_prices.model_name is null
                then usage.total_tokens + usage.total_cache_read_tokens
            else 0
        end as unpriced_tokens,
        usage.input_hash
    from usage
    left join model_prices
        on
            usage.model_name = model_prices.model_name
            and usage.usage_date = model_prices.usage_date

)

select * from final
{{ and_replaced('session_id') }}
