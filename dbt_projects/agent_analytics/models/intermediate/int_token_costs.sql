{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

{%- set tokens = ['input_tokens', 'output_tokens', 'cache_creation_tokens', 'cache_read_tokens'] -%}
{%- set kinds = tokens + ['reasoning_tokens', 'reported_cost_usd'] -%}
{#- What counters alone tell of each kind, and what events alone do. -#}
{%- set measures = kinds + [] -%}
{%- for kind in kinds -%}
{%- do measures.append(kind ~ '_of_events') -%}
{%- endfor -%}

-- The linter loses the indentation of lists that a loop writes.
-- noqa: disable=LT02
with sessions as (

    select
        sessions.session_id,
        coalesce(names.developer_id, sessions.developer_id) as developer_id,
        sessions.is_session_known
    from {{ ref('stg_agent_sessions') }} as sessions
    left join {{ ref('int_developer_names') }} as names
        on lower(trim(sessions.developer_id)) = names.name

),

used as (

    select
        session_id,
        any_value(input_hash) as input_hash
    from {{ ref('stg_agent_token_usage') }}
    group by session_id

),

-- A client can leave the session off its counters or off its events, and not off the others: what
-- a developer's telemetry tells without a session, the rest tells in the sessions, be it under
-- another name. Telemetry that does not name the developer either is compared with that of all.
events_of as (

    select
        sessions.developer_id,
        used.input_hash
    from used
    inner join sessions on used.session_id = sessions.session_id
    where sessions.developer_id <> 'unknown'

    union all

    select
        'unknown' as developer_id,
        hash(used.input_hash, sessions.developer_id) as input_hash
    from used
    inner join sessions on used.session_id = sessions.session_id

),

developers as (

    select
        developer_id,
        {{ hash_of_rows('input_hash') }} as input_hash
    from events_of
    group by developer_id

),

-- Usage that names no session, and which of the two sources tells of it.
nameless as (

    select
        sessions.developer_id,
        usage.agent_type,
        sum(usage.tokens_by_events) > 0 as is_of_events,
        sum(usage.tokens_by_metrics) > 0 as is_of_metrics
    from {{ ref('stg_agent_token_usage') }} as usage
    inner join sessions on usage.session_id = sessions.session_id
    where not sessions.is_session_known
    group by sessions.developer_id, usage.agent_type

),

-- Whose usage is compared with that which names no session: the developer's own; that of all whose
-- own does not tell it, where it names no developer either.
comparable as (

    select
        nameless.developer_id as counted_for,
        nameless.agent_type,
        sessions.session_id,
        sessions.is_session_known
    from nameless
    inner join sessions on nameless.developer_id = sessions.developer_id

    union

    select
        nameless.developer_id as counted_for,
        nameless.agent_type,
        sessions.session_id,
        true as is_session_known
    from nameless
    cross join sessions
    left join nameless as others
        on
            sessions.developer_id = others.developer_id
            and nameless.agent_type = others.agent_type
    where
        nameless.developer_id = 'unknown'
        and sessions.developer_id <> 'unknown'
        and not coalesce(
            (nameless.is_of_events and others.is_of_events)
            or (nameless.is_of_metrics and others.is_of_metrics),
            false
        )

),

-- Where one of the two names no model and all that is compared names one, it is that one.
only_models as (

    select
        comparable.counted_for,
        comparable.agent_type,
        min(usage.model_name) as model_name
    from comparable
    inner join {{ ref('stg_agent_token_usage') }} as usage
        on
            comparable.session_id = usage.session_id
            and comparable.agent_type = usage.agent_type
    where usage.model_name <> 'unknown'
    group by comparable.counted_for, comparable.agent_type
    having count(distinct {{ compared_name('usage.model_name') }}) = 1

),

without_model as (

    select
        session_id,
        agent_type
    from {{ ref('stg_agent_token_usage') }}
    group by session_id, agent_type
    having bool_and(model_name = 'unknown')

),

named as (

    select
        without_model.session_id,
        without_model.agent_type,
        min(only_models.model_name) as model_name
    from without_model
    inner join comparable
        on
            without_model.session_id = comparable.session_id
            and without_model.agent_type = comparable.agent_type
    inner join only_models
        on
            comparable.counted_for = only_models.counted_for
            and comparable.agent_type = only_models.agent_type
    group by without_model.session_id, without_model.agent_type

),

usage_told as (

    select usage.* replace (coalesce(named.model_name, usage.model_name) as model_name)
    from {{ ref('stg_agent_token_usage') }} as usage
    left join named
        on usage.session_id = named.session_id and usage.agent_type = named.agent_type

),

names_of_sessions as (

    select
        session_id,
        bit_xor(hash(hash(agent_type, model_name))) as names_hash
    from named
    group by session_id

),

-- A session is made from its usage, from the name that others give its model, and from the list of
-- prices as a whole; usage without a session also from that of the developer's sessions.
inputs as (

    select
        used.session_id,
        hash(
            used.input_hash,
            names_of_sessions.names_hash,
            developers.input_hash,
            (
                select {{ hash_of_rows('prices') }}
                from {{ ref('model_prices') }} as prices  -- noqa: AL05
            ),
            '{{ var('one_hour_cache_writes') }}'
        ) as input_hash
    from used
    left join sessions on used.session_id = sessions.session_id
    left join developers
        on not sessions.is_session_known and sessions.developer_id = developers.developer_id
    left join names_of_sessions on used.session_id = names_of_sessions.session_id

),

touched as (

    {{ touched('session_id') }}

),

touched_nameless as (

    select distinct
        nameless.developer_id,
        nameless.agent_type
    from nameless
    inner join sessions on nameless.developer_id = sessions.developer_id
    inner join touched on sessions.session_id = touched.session_id
    where not sessions.is_session_known

),

compared as (

    select comparable.*
    from comparable
    inner join touched_nameless
        on
            comparable.counted_for = touched_nameless.developer_id
            and comparable.agent_type = touched_nameless.agent_type

),

told_alone as (

    select *
    from {{ told_alone('compared', 'usage_told', kinds, measures) }}

),

counted as (

    select
        usage.session_id,
        usage.usage_date,
        usage.agent_type,
        usage.model_name,
        usage.usage_source,
        usage.total_requests,
        {%- for kind in kinds[:-1] %}
        cast(
            coalesce(
                least(usage.{{ kind }}_by_events, usage.{{ kind }}_by_metrics)
                + alone.{{ kind }}_of_events + alone.{{ kind }},
                usage.total_{{ kind }}
            )
            as bigint
        ) as total_{{ kind }},
        {%- endfor %}
        case
            when usage.reported_cost_usd is not null
                then coalesce(
                    least(usage.reported_cost_usd_by_events, usage.reported_cost_usd_by_metrics)
                    + alone.reported_cost_usd_of_events + alone.reported_cost_usd,
                    usage.reported_cost_usd
                )
        end as reported_cost_usd,
        usage.reported_cost_usd_by_events,
        usage.counted_since,
        {%- for kind in tokens %}
        usage.{{ kind }}_by_events,
        {%- endfor %}
        usage.total_tokens + usage.total_cache_read_tokens as tokens_told,
        usage.special_usage,
        touched.input_hash
    from usage_told as usage
    inner join touched on usage.session_id = touched.session_id
    left join told_alone as alone
        on
            usage.session_id = alone.session_id
            and usage.agent_type = alone.agent_type
            and usage.model_name = alone.model_name
            and usage.usage_date = alone.usage_date

),

usage as (

    select
        *,
        {%- for kind in tokens %}
        greatest(total_{{ kind }} - coalesce({{ kind }}_by_events, 0), 0) as {{ kind }}_alone,
        {%- endfor %}
        total_input_tokens + total_output_tokens + total_cache_creation_tokens as total_tokens
    from counted

),

model_prices as (

    select * from {{ prices_of_models('usage') }}

),

special_parts as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        {%- for kind in tokens %}
        total_{{ kind }},
        {{ kind }}_alone,
        {%- endfor %}
        unnest(special_usage, recursive := true)  -- noqa: AL03
    from usage

),

-- What requests of a price of their own cost more or less than the price for all.
special_rates as (

    select
        special_parts.session_id,
        special_parts.usage_date,
        special_parts.agent_type,
        special_parts.model_name,
        {%- for kind in tokens %}
        -- It is less where the rest was told twice.
        least(special_parts.{{ kind }}, special_parts.total_{{ kind }}) as {{ kind }},
        case
            when special_parts.usage_source = 'metrics'
                then least(special_parts.{{ kind }}, special_parts.{{ kind }}_alone)
            else 0
        end as {{ kind }}_alone,
        {%- endfor %}
        special_parts.usage_source,
        special_parts.reported_cost_usd,
        model_prices.input,
        model_prices.output,
        model_prices.cache_write_5m,
        model_prices.cache_write_1h,
        model_prices.cache_read,
        model_prices.long_input_multiplier,
        model_prices.long_output_multiplier,
        case special_parts.service_tier
            when 'standard' then 1
            when 'fast' then model_prices.fast_multiplier
            when 'batch' then model_prices.batch_multiplier
        end as tier,
        case special_parts.service_tier
            when 'batch' then model_prices.batch_cache_read_multiplier
            else tier
        end as cache_read_tier,
        case
            when special_parts.prompt_above >= model_prices.long_prompt_above
                then model_prices.long_input_multiplier
            else 1
        end as long_input,
        case
            when special_parts.prompt_above >= model_prices.long_prompt_above
                then model_prices.long_output_multiplier
            else 1
        end as long_output
    from special_parts
    inner join model_prices
        on
            special_parts.model_name = model_prices.model_name
            and special_parts.usage_date = model_prices.usage_date

),

special_costs as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        sum(
            {%- for kind, price, tier, long in [
                ('input_tokens', 'input', 'tier', 'long_input'),
                ('output_tokens', 'output', 'tier', 'long_output'),
                ('cache_read_tokens', 'cache_read', 'cache_read_tier', 'long_input'),
            ] %}
            {{ usd(
                kind,
                '(cast(' ~ price ~ ' * coalesce(' ~ tier ~ ', 0) * ' ~ long ~ ' as decimal(10, 4)) - ' ~ price ~ ')'
            ) }}{{ ' +' if not loop.last }}
            {%- endfor %}
        ) as more_usd,
        {%- for hours in ['5m', '1h'] %}
        sum({{ usd(
            'cache_creation_tokens',
            '(cast(cache_write_' ~ hours ~ ' * coalesce(tier, 0) * long_input as decimal(10, 4)) - cache_write_'
            ~ hours ~ ')'
        ) }}) as more_usd_for_writes_{{ hours }},
        {%- endfor %}
        -- What events without a cost have on the list.
        coalesce(sum(
            {%- for kind, price, tier, long in [
                ('input_tokens', 'input', 'tier', 'long_input'),
                ('output_tokens', 'output', 'tier', 'long_output'),
                ('cache_read_tokens', 'cache_read', 'cache_read_tier', 'long_input'),
            ] %}
            {{ usd(kind, 'cast(' ~ price ~ ' * ' ~ tier ~ ' * ' ~ long ~ ' as decimal(10, 4))') }}
            {{- ' +' if not loop.last }}
            {%- endfor %}
        ) filter (where usage_source = 'events' and reported_cost_usd is null), 0)
            as untold_usd_without_writes,
        {%- for hours in ['5m', '1h'] %}
        coalesce(sum({{ usd(
            'cache_creation_tokens',
            'cast(cache_write_' ~ hours ~ ' * tier * long_input as decimal(10, 4))'
        ) }}) filter (where usage_source = 'events' and reported_cost_usd is null), 0)
            as untold_usd_for_writes_{{ hours }},
        {%- endfor %}
        sum(
            (coalesce(tier, 0) - 1) * {{ more_usd_of_long() }}
            + (coalesce(cache_read_tier, 0) - coalesce(tier, 0)) * (long_input_multiplier - 1)
            * {{ usd('cache_read_tokens_alone', 'cache_read') }}
        ) as more_usd_if_long,
        coalesce(sum(
            {%- for kind in tokens %}
            {{ kind }}{{ ' +' if not loop.last }}
            {%- endfor %}
        ) filter (where tier is null), 0) as unpriced_tokens,
        coalesce(sum(reported_cost_usd) filter (where tier is null), 0) as unpriced_usd,
        coalesce(
            sum(reported_cost_usd) filter (where tier is null and usage_source = 'events'), 0
        ) as unpriced_usd_by_events,
        {%- for source in ['events', 'metrics'] %}
        coalesce(
            bool_or(
                tier is null and reported_cost_usd is null and usage_source = '{{ source }}'
            ),
            false
        ) as is_untold_by_{{ source }}{{ ',' if not loop.last }}
        {%- endfor %}
    from special_rates
    group by session_id, usage_date, agent_type, model_name

),

priced as (

    select
        usage.*,
        {{ more_usd_if_long('usage', 'model_prices', 'special_costs') }} as more_usd_if_long,
        model_prices.model_name is not null as is_priced,
        coalesce(special_costs.unpriced_tokens, 0) as unpriced_special_tokens,
        coalesce(special_costs.is_untold_by_metrics, false) as is_untold,
        coalesce(special_costs.is_untold_by_events, false) as is_untold_by_events,
        coalesce(special_costs.unpriced_usd, 0) as unpriced_usd,
        coalesce(
            special_costs.untold_usd_without_writes + special_costs.untold_usd_for_writes_5m > 0
            and usage.reported_cost_usd > 0
            and usage.reported_cost_usd <= usage.reported_cost_usd_by_events,
            false
        ) as is_partly_told,
        {%- for part in ['without_writes', 'for_writes_5m', 'for_writes_1h'] %}
        case when is_partly_told then special_costs.untold_usd_{{ part }} else 0 end
            as untold_usd_{{ part }},
        {%- endfor %}
        coalesce(special_costs.unpriced_usd_by_events, 0) as unpriced_usd_by_events,
        {{ usd('usage.total_input_tokens', 'model_prices.input') }}
        + {{ usd('usage.total_output_tokens', 'model_prices.output') }}
        + {{ usd('usage.total_cache_read_tokens', 'model_prices.cache_read') }}
        + coalesce(special_costs.more_usd, 0) as usd_without_writes,
        {%- for hours in ['5m', '1h'] %}
        {{ usd('usage.total_cache_creation_tokens', 'model_prices.cache_write_' ~ hours) }}
        + coalesce(special_costs.more_usd_for_writes_{{ hours }}, 0)
            as usd_for_writes_{{ hours }}{{ ',' if not loop.last }}
        {%- endfor %}
    from usage
    left join model_prices
        on
            usage.model_name = model_prices.model_name
            and usage.usage_date = model_prices.usage_date
    left join special_costs
        on
            usage.session_id = special_costs.session_id
            and usage.usage_date = special_costs.usage_date
            and usage.agent_type = special_costs.agent_type
            and usage.model_name = special_costs.model_name

),

costs as (

    select
        *,
        usd_without_writes - untold_usd_without_writes as told_usd_without_writes,
        usd_for_writes_5m - untold_usd_for_writes_5m as told_usd_for_writes_5m,
        usd_for_writes_1h - untold_usd_for_writes_1h as told_usd_for_writes_1h,
        case
            when is_untold_by_events
                then least(reported_cost_usd, reported_cost_usd_by_events) - unpriced_usd_by_events
            else reported_cost_usd - unpriced_usd
        end as told_of_priced_usd
    from {{ with_late_costs('priced') }}

),

-- Telemetry does not tell writes for an hour from writes for five minutes. The agent knows: what it
-- reports above the cost of five minutes, and not above that of an hour, is what the hours cost.
-- What it reports of a tier without a price is left out: each event reports its own. Where counters
-- report that together with the rest, nothing shows which is above. Of events that tell no cost
-- beside others that do, nothing shows it either: theirs is that of five minutes.
hours as (

    select
        *,
        {%- if var('one_hour_cache_writes') == 'all' %}
        usd_for_writes_1h - usd_for_writes_5m as one_hour_cache_usd,
        0 as more_usd_if_for_an_hour
        {%- elif var('one_hour_cache_writes') == 'none' %}
        0 as one_hour_cache_usd,
        0 as more_usd_if_for_an_hour
        {%- else %}
        case
            when
                not is_untold
                and told_of_priced_usd > told_usd_without_writes + told_usd_for_writes_5m
                and told_of_priced_usd <= 1.01 * (told_usd_without_writes + told_usd_for_writes_1h)
                then least(
                        told_of_priced_usd - told_usd_without_writes - told_usd_for_writes_5m,
                        told_usd_for_writes_1h - told_usd_for_writes_5m
                    )
            else 0
        end as one_hour_cache_usd,
        case
            when
                is_untold
                or told_of_priced_usd is null
                or told_of_priced_usd > 1.01 * (told_usd_without_writes + told_usd_for_writes_1h)
                then usd_for_writes_1h - usd_for_writes_5m
            else untold_usd_for_writes_1h - untold_usd_for_writes_5m
        end as more_usd_if_for_an_hour
        {%- endif %}
    from costs

),

final as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        usage_source,
        total_requests,
        total_input_tokens,
        total_output_tokens,
        total_cache_creation_tokens,
        total_cache_read_tokens,
        total_reasoning_tokens,
        total_tokens,
        case when not is_partly_told then reported_cost_usd end as reported_cost_usd,
        counted_since,
        tokens_told - total_tokens - total_cache_read_tokens as told_twice_tokens,
        -- Nothing of it has a price where a cost alone is told, or all was of a tier without one.
        case
            when tokens_told = 0 and reported_cost_usd > 0 then null
            when
                is_priced
                and (
                    unpriced_special_tokens = 0
                    or unpriced_special_tokens < total_tokens + total_cache_read_tokens
                )
                then cast(
                        usd_without_writes + usd_for_writes_5m + one_hour_cache_usd
                        as decimal(28, 10)
                    )
        end as list_cost_usd,
        case when is_priced then cast(one_hour_cache_usd as decimal(28, 10)) end
            as one_hour_cache_usd,
        case
            when is_priced then cast(more_usd_if_long + more_usd_if_for_an_hour as decimal(28, 10))
        end as may_cost_more_usd,
        cast(
            case
                when is_priced then unpriced_special_tokens
                else total_tokens + total_cache_read_tokens
            end as bigint
        ) as unpriced_tokens,
        input_hash
    from hours
    -- A counter that repeats itself on a later day, or tells what events told, is no usage of it.
    where
        total_requests is not null
        or tokens_told > 0
        or total_reasoning_tokens > 0
        or reported_cost_usd > 0

)

select * from final
{{ and_replaced('session_id') }}
