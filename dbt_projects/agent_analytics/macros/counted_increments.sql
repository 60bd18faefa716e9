{% macro counted_increments(counter_keys, signals, tiers, since) -%}
    {#- By how much counters grew, in the kinds of the seed: what one agent counts in its input another counts apart, the
        weights make them the same. `tiers` are the attributes that tell of a tier, in order. -#}
    {%- set tier_of_counter = [] -%}
    {%- for name in tiers -%}
    {%- do tier_of_counter.append('metrics.attributes ->> \'$."' ~ name ~ '"\'') -%}
    {%- endfor -%}
    (
        with
        points as (

            select
                metrics.id,
                metrics.session_id,
                metrics.agent_type,
                coalesce(metrics.model_name, 'unknown') as model_name,
                metrics.timestamp as used_at,
                cast(metrics.created_at as date) as received_on,
                metrics.start_timestamp,
                metrics.temporality,
                metrics.series_key,
                case
                    when metrics.start_timestamp is not null then counter_keys.with_start
                    else counter_keys.without_start
                end as counter_key,
                metrics.metric_value as told_value,
                metrics.is_monotonic,
                {{ metric_signal('metrics.metric_name') }} as signal_name,
                {{ token_type('metrics.metric_name', 'metrics.attributes') }} as token_type,
                case
                    when
                        contains(metrics.attributes, '"speed"')
                        or contains(metrics.attributes, 'service_tier"')
                        then {{ service_tier(tier_of_counter) }}
                    else 'standard'
                end as service_tier
            from {{ metric_points(since) }} as metrics
            inner join {{ counter_keys }} as counter_keys on metrics.series_key = counter_keys.series_key
            where
                signal_name is not null
                and not {{ is_whole_agent("metrics.attributes ->> '$.\"gen_ai.operation.name\"'") }}

        ),

        -- A sum that may fall is, at any time, what it never falls below later.
        lasting_points as (

            select
                *,
                case
                    when temporality = 'cumulative' and not coalesce(is_monotonic, true)
                        then min(told_value) over (
                                partition by counter_key, temporality, start_timestamp
                                order by used_at, id
                                rows between current row and unbounded following
                            )
                    else told_value
                end as metric_value
            from points

        ),

        -- A cumulative counter says how much since its start: what counts is the growth. A new start, or a
        -- value smaller than the one before, is a counter that began again from zero.
        ordered_points as (

            select
                *,
                lag(metric_value) over since_start as value_before,
                lag(used_at) over since_start as used_before,
                lead(used_at) over since_start as used_after,
                lag(series_key) over since_start as series_before
            from lasting_points
            window since_start as (
                partition by counter_key, temporality, start_timestamp order by used_at, metric_value, id
            )

        ),

        -- A start that several points of a delta share is that of the process: where each began to count
        -- is not told. The same point with another resource is the same sent again.
        metric_increments as (

            select
                *,
                case
                    when temporality = 'cumulative' and metric_value >= value_before
                        then metric_value - value_before
                    else metric_value
                end as increment,
                least(used_at, case
                    when temporality = 'cumulative' then coalesce(used_before, start_timestamp)
                    when coalesce(used_before, used_at) = coalesce(used_after, used_at) then start_timestamp
                end) as counted_from
            from ordered_points
            where
                temporality in ('cumulative', 'delta')
                and not coalesce(
                    used_at = used_before and metric_value = value_before and series_key <> series_before,
                    false
                )

        )

            select
                increments.session_id,
                increments.agent_type,
                increments.model_name,
                increments.service_tier,
                increments.used_at,
                increments.counted_from,
                increments.received_on,
                signals.family,
                signals.kind,
                increments.increment * signals.weight as amount
            from metric_increments as increments
            inner join {{ signals }} as signals
                on
                    signals.signal = 'metric'
                    and increments.signal_name = signals.name
                    and (signals.token_type = 'any' or increments.token_type = signals.token_type)
            where signals.kind <> 'none'
    )
{%- endmacro %}
