{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

{%- set tokens = ['input_tokens', 'output_tokens', 'cache_creation_tokens', 'cache_read_tokens'] -%}
{%- set kinds = tokens + ['reasoning_tokens', 'reported_cost_usd'] -%}
{%- set attributes = event_attributes() -%}
{%- set tiers = [
    'speed', 'gen_ai.openai.response.service_tier', 'openai.response.service_tier', 'service_tier',
] -%}
{%- set since = unread_since(ref('stg_agent_sessions')) %}
{#- Requests that count, with the hour that tells their day: each reader takes few of them. -#}
{%- set requests_of_days -%}
    spelled_requests as requests
    inner join hours
        on
            requests.session_id = hours.session_id
            and requests.agent_type = hours.agent_type
            and requests.matched_by = hours.matched_by
            and date_trunc('hour', requests.used_at) = hours.usage_hour
    inner join families
        on
            requests.session_id = families.session_id
            and requests.agent_type = families.agent_type
            and requests.compared_name = families.compared_name
            and requests.family in (families.family, 'cost')
            and families.usage_source = 'events'
{%- endset %}

-- The linter loses the indentation of lists that a loop writes.
-- noqa: disable=LT02
with inputs as (

    select * from {{ ref('stg_agent_sessions') }}

),

touched as (

    {{ touched('session_id') }} {{ 'and ' ~ is_usage_unread() if is_incremental() }}

),

signals as (

    select * from {{ ref('agent_signals') }}

),

counted_increments as (

    select *
    from {{ counted_increments(counter_keys(since), 'signals', tiers, since) }}  -- noqa: PRS

),

counted_requests as (

    select *
    from {{ counted_requests('signals', kinds, attributes, tiers, since) }}

),

-- Events and counters may spell a model in two ways, or not name it or its tier.
spellings as (

    select *
    from {{ model_spellings('counted_requests', 'counted_increments') }}

),

{%- for rows, counted, source in [
    ('spelled_requests', 'counted_requests', 'events'),
    ('spelled_increments', 'counted_increments', 'metrics'),
] %}

{{ rows }} as (

    select
        counted.* replace (
            spellings.spelling as model_name,
            spellings.spelled_tier as service_tier
        ),
        spellings.compared_name,
        spellings.matched_by
    from {{ counted }} as counted
    inner join spellings
        on
            counted.session_id = spellings.session_id
            and counted.agent_type = spellings.agent_type
            and counted.model_name = spellings.model_name
            and counted.service_tier = spellings.service_tier
            and spellings.usage_source = '{{ source }}'

),
{%- endfor %}

usage as (

    select
        session_id,
        agent_type,
        model_name,
        service_tier,
        compared_name,
        matched_by,
        used_at,
        used_at as counted_from,
        received_on,
        'events' as usage_source,
        family,
        1 as requests,
        {%- for kind in kinds %}
        {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from spelled_requests

    union all

    select
        session_id,
        agent_type,
        model_name,
        service_tier,
        compared_name,
        matched_by,
        used_at,
        counted_from,
        received_on,
        'metrics' as usage_source,
        family,
        null as requests,
        {%- for kind in kinds[:-1] %}
        case when kind || '_tokens' = '{{ kind }}' then amount else 0 end as {{ kind }},
        {%- endfor %}
        case when kind = 'cost' then amount end as reported_cost_usd
    from spelled_increments

),

-- An agent may tell the same usage under several names, also its own: what tells most counts.
families as (

    select
        session_id,
        agent_type,
        compared_name,
        usage_source,
        family,
        family in (
            select signals.family
            from signals
            where signals.signal = 'metric' and starts_with(signals.kind, 'cache_')
        ) as is_cache_told
    from usage
    where family <> 'cost'
    group by session_id, agent_type, compared_name, usage_source, family
    qualify row_number() over (
            partition by session_id, agent_type, compared_name, usage_source
            order by
                sum({{ tokens | join(' + ') }}) desc,
                family desc
        ) = 1

),

-- A counter tells an hour's usage up to an hour later than the event does. What comes on a day was
-- used on that day at the latest, whatever its sender's clock says.
spelled_hours as (

    select
        usage.session_id,
        usage.agent_type,
        usage.compared_name,
        usage.matched_by,
        usage.model_name,
        usage.service_tier,
        date_trunc('hour', usage.used_at) as usage_hour,
        min(usage.received_on) as received_on,
        sum(usage.requests) as requests,
        {%- for kind in kinds %}
        sum(cast(usage.{{ kind }} as decimal(28, 10))) filter (where usage.usage_source = 'events')
            as {{ kind }}_by_events,
        sum(cast(usage.{{ kind }} as decimal(28, 10))) filter (where usage.usage_source = 'metrics')
            as {{ kind }}_by_metrics,
        {%- endfor %}
        bool_or(usage.usage_source = 'metrics') as is_of_metrics,
        min(usage.counted_from) as counted_from,
        min(usage.used_at) as first_used_at,
        max(usage.used_at) as last_used_at
    from usage
    left join families
        on
            usage.session_id = families.session_id
            and usage.agent_type = families.agent_type
            and usage.compared_name = families.compared_name
            and usage.usage_source = families.usage_source
    where usage.family in (families.family, 'cost')
    group by
        usage.session_id, usage.agent_type, usage.compared_name, usage.matched_by, usage.model_name,
        usage.service_tier, date_trunc('hour', usage.used_at)

),

hours as (

    select
        session_id,
        agent_type,
        compared_name,
        matched_by,
        usage_hour,
        least(cast(usage_hour as date), min(received_on)) as usage_date,
        {%- for kind in kinds %}
        sum({{ kind }}_by_events) as {{ kind }}_by_events,
        sum({{ kind }}_by_metrics) as {{ kind }}_by_metrics,
        {%- endfor %}
        min(counted_from) as counted_from,
        max(last_used_at) as last_used_at
    from spelled_hours
    group by session_id, agent_type, compared_name, matched_by, usage_hour

),

told_days as (

    select *
    from {{ told_days('spelled_hours', 'hours', 'families', kinds) }}

),

days as (

    select
        told.session_id,
        told.usage_date,
        told.agent_type,
        told.model_name,
        cast(sum(told.requests) as bigint) as total_requests,
        {%- for kind in kinds[:-1] %}
        cast(
            greatest(sum(told.{{ kind }}_by_events + told.{{ kind }}_by_metrics_alone), 0) as bigint
        ) as total_{{ kind }},
        {%- endfor %}
        case
            when bool_or(told.is_cost_told)
                then sum(
                    told.reported_cost_usd_by_events + told.reported_cost_usd_by_metrics_alone
                )
        end as reported_cost_usd,
        {%- for kind in kinds %}
        sum(told.{{ kind }}_by_events) as {{ kind }}_by_events,
        sum(told.{{ kind }}_by_metrics) as {{ kind }}_by_metrics,
        {%- endfor %}
        {%- for source in ['events', 'metrics', 'metrics_alone'] %}
        cast(
            sum(
                {%- for kind in tokens %}
                told.{{ kind }}_by_{{ source }}{{ ' +' if not loop.last }}
                {%- endfor %}
            ) as bigint
        ) as tokens_by_{{ source }},
        {%- endfor %}
        min(told.first_used_at) as first_used_at,
        max(told.last_used_at) as last_used_at
    from told_days as told
    group by told.session_id, told.usage_date, told.agent_type, told.model_name
    -- A counter of which nothing is left says nothing.
    having
        count(told.requests) > 0
        {%- for kind in kinds %}
        or sum(told.{{ kind }}_by_metrics) > 0
        {%- endfor %}

),

-- Requests that may cost another price, for their tier or for how long they are.
special_requests as (

    select
        requests.*,
        hours.usage_date,
        requests.input_tokens + requests.cache_creation_tokens + requests.cache_read_tokens
            as prompt_tokens,
        case
            when prompt_tokens > 272000 then 272000
            when prompt_tokens > 200000 then 200000
            when prompt_tokens > 100000 then 100000
            else 0
        end as prompt_above
    from {{ requests_of_days }}
    where requests.service_tier <> 'standard' or prompt_tokens > 100000

),

told_in_tiers as (

    select * from {{ told_in_tiers('told_days', 'usage', 'families', 'spellings', kinds) }}

),

requests_in_tiers as (

    select * from {{ prompts_in_tiers('special_requests', 'told_in_tiers', 'told_days', 'usage') }}

),

-- Requests whose cost nothing tells beside others that tell theirs: no reported cost is of them.
untold_requests as (

    select
        requests.*,
        hours.usage_date
    from {{ requests_of_days }}
    where
        requests.session_id in (
            select told.session_id
            from spelled_requests as told
            group by told.session_id
            having count(told.reported_cost_usd) between 1 and count(*) - 1
        )
    window
        day as (
            partition by
                requests.session_id, requests.agent_type, requests.model_name, hours.usage_date
        )
    qualify
        requests.reported_cost_usd is null
        and count(requests.reported_cost_usd) over day > 0
        and bool_and(requests.family <> 'cost') over day

),

special_parts as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        'events' as usage_source,
        service_tier,
        prompt_above,
        {%- for kind in tokens %}
        cast(sum({{ kind }}) as bigint) as {{ kind }},
        {%- endfor %}
        {{ usd_of_all('reported_cost_usd') }} as reported_cost_usd
    from requests_in_tiers
    group by
        session_id, usage_date, agent_type, model_name, service_tier, prompt_above,
        reported_cost_usd is null

    union all

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        'events' as usage_source,
        service_tier,
        0 as prompt_above,
        {%- for kind in tokens %}
        cast(sum({{ kind }}) as bigint) as {{ kind }},
        {%- endfor %}
        null as reported_cost_usd
    from untold_requests
    where
        service_tier = 'standard'
        and input_tokens + cache_creation_tokens + cache_read_tokens <= 100000
    group by session_id, usage_date, agent_type, model_name, service_tier

    union all

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        'metrics' as usage_source,
        service_tier,
        0 as prompt_above,
        {%- for kind in tokens %}
        cast(greatest(sum({{ kind }}), 0) as bigint) as {{ kind }},
        {%- endfor %}
        nullif(greatest(sum(reported_cost_usd), 0), 0) as reported_cost_usd
    from {{ beside_prompts('told_in_tiers', 'requests_in_tiers', kinds) }}
    group by session_id, usage_date, agent_type, model_name, service_tier
    having
        {%- for kind in tokens %}
        sum({{ kind }}) > 0{{ ' or' if not loop.last }}
        {%- endfor %}

),

specials as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        list(
            struct_pack(
                usage_source := usage_source,
                service_tier := service_tier,
                prompt_above := prompt_above,
                {%- for kind in tokens %}
                {{ kind }} := {{ kind }},
                {%- endfor %}
                reported_cost_usd := reported_cost_usd
            ) order by usage_source, service_tier, prompt_above, reported_cost_usd
        ) as special_usage
    from special_parts
    group by session_id, usage_date, agent_type, model_name

),

summed as (

    select
        days.*,
        counters.counted_since,
        specials.special_usage,
        days.total_input_tokens + days.total_output_tokens + days.total_cache_creation_tokens
            as total_tokens,
        case
            when days.total_requests is null then 'metrics'
            when days.tokens_by_metrics_alone > 0 then 'events and metrics'
            else 'events'
        end as usage_source
    from days
    left join specials
        on
            days.session_id = specials.session_id
            and days.usage_date = specials.usage_date
            and days.agent_type = specials.agent_type
            and days.model_name = specials.model_name
    left join {{ counter_days('usage') }} as counters
        on
            days.session_id = counters.session_id
            and days.usage_date = counters.usage_date
            and days.agent_type = counters.agent_type
            and days.model_name = counters.model_name

),

final as (

    select
        summed.*,
        -- Up to where this build has read.
        (select max(read.last_metric_id) from inputs as read) as last_metric_id,
        (select max(read.last_log_id) from inputs as read) as last_log_id,
        touched.input_hash
    from summed
    inner join touched on summed.session_id = touched.session_id

)

select * from final
{{ and_replaced('session_id') }}
