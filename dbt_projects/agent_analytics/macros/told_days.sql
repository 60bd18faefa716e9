{% macro told_days(spelled_hours, hours, families, kinds) -%}
    {#- One row per session, day, agent, model and tier: of each kind what events tell, what counters do, and what these
        alone tell. Hours of the same `matched_by` are compared together. -#}
    (
        with
        -- Counters that tell of input as a whole are compared with all input that events tell of. What a
        -- computer exports on waking tells of what was used before it slept: that is no silence.
        after_hours as (

            select
                hours.*,
                case
                    when families.is_cache_told is false
                        then
                            coalesce(hours.cache_creation_tokens_by_events, 0)
                            + coalesce(hours.cache_read_tokens_by_events, 0)
                    else 0
                end as cached_tokens_by_events,
                hours.usage_hour - lag(hours.usage_hour) over by_hour > interval 1 hour
                and min(hours.counted_from) over (
                    by_hour rows between current row and unbounded following
                ) >= lag(hours.last_used_at) over by_hour as is_after_silence
            from {{ hours }} as hours
            left join {{ families }} as families
                on
                    hours.session_id = families.session_id
                    and hours.agent_type = families.agent_type
                    and hours.compared_name = families.compared_name
                    and families.usage_source = 'metrics'
            window by_hour as (
                partition by hours.session_id, hours.agent_type, hours.matched_by order by hours.usage_hour
            )

        ),

        runs as (

            select
                *,
                count(*) filter (where is_after_silence) over (
                    partition by session_id, agent_type, matched_by order by usage_hour
                ) as run_number
            from after_hours

        ),

        -- By how much the counters have been ahead of the events at most, since the last silent hour: so
        -- much was told by counters alone.
        ahead as (

            select
                *,
                {%- for kind in kinds %}
                sum(
                    coalesce({{ kind }}_by_metrics, 0) - coalesce({{ kind }}_by_events, 0)
                    {{- ' - cached_tokens_by_events' if kind == 'input_tokens' }}
                ) over (
                    partition by session_id, agent_type, matched_by, run_number order by usage_hour
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
                        partition by session_id, agent_type, matched_by, run_number order by usage_hour
                    ),
                    0
                ) as {{ kind }}_most_ahead{{ ',' if not loop.last }}
                {%- endfor %}
            from ahead

        ),

        reconciled as (

            select
                *,
                {%- for kind in kinds %}
                {{ kind }}_most_ahead - coalesce(
                    lag({{ kind }}_most_ahead) over (
                        partition by session_id, agent_type, matched_by, run_number order by usage_hour
                    ),
                    0
                ) as {{ kind }}_by_metrics_alone{{ ',' if not loop.last }}
                {%- endfor %}
            from most_ahead

        ),

        -- Of several spellings that are compared together, those that no event has told alone first.
        alone as (

            select
                spelled.*,
                reconciled.usage_date,
                {%- for kind in kinds %}
                {{ shared_out(
                    'reconciled.' ~ kind ~ '_by_metrics_alone',
                    'coalesce(spelled.' ~ kind ~ '_by_metrics, 0)',
                    'sum(spelled.' ~ kind ~ '_by_metrics) over earlier',
                    'lead(spelled.usage_hour) over in_order is null'
                ) }} as {{ kind }}_by_metrics_alone{{ ',' if not loop.last }}
                {%- endfor %}
            from (
                select
                    *,
                    bool_or(requests is not null) over (
                        partition by session_id, agent_type, matched_by, model_name, service_tier
                    ) as is_of_events
                from {{ spelled_hours }}
            ) as spelled
            inner join reconciled
                on
                    spelled.session_id = reconciled.session_id
                    and spelled.agent_type = reconciled.agent_type
                    and spelled.matched_by = reconciled.matched_by
                    and spelled.usage_hour = reconciled.usage_hour
            window
                in_order as (
                    partition by
                        spelled.session_id, spelled.agent_type, spelled.matched_by, spelled.usage_hour
                    order by
                        spelled.is_of_metrics, spelled.is_of_events, spelled.model_name,
                        spelled.service_tier
                ),
                earlier as (in_order rows between unbounded preceding and 1 preceding)

        ),

        spelled_days as (

            select
                session_id,
                usage_date,
                agent_type,
                compared_name,
                matched_by,
                model_name,
                service_tier,
                sum(requests) as requests,
                {%- for kind in kinds %}
                sum(coalesce({{ kind }}_by_events, 0)) as {{ kind }}_by_events,
                sum(coalesce({{ kind }}_by_metrics, 0)) as {{ kind }}_by_metrics,
                sum({{ kind }}_by_metrics_alone) as {{ kind }}_by_metrics_alone,
                {%- endfor %}
                count(reported_cost_usd_by_events) + count(reported_cost_usd_by_metrics) > 0
                    as is_cost_told,
                bool_or(is_of_metrics) as is_of_metrics,
                min(first_used_at) as first_used_at,
                max(last_used_at) as last_used_at
            from alone
            group by
                session_id, usage_date, agent_type, compared_name, matched_by, model_name, service_tier

        )

        -- What counters tell of several spellings together is, up to what events tell of each, of each.
            select
                days.* replace (
                    {%- for kind in kinds %}
                    days.{{ kind }}_by_metrics_alone + {{ shared_out(
                        'sum(days.' ~ kind ~ '_by_metrics - days.' ~ kind ~ '_by_metrics_alone) over whole',
                        'days.' ~ kind ~ '_by_events',
                        'sum(days.' ~ kind ~ '_by_events) over earlier',
                        'lead(days.usage_date) over in_order is null'
                    ) }} as {{ kind }}_by_metrics{{ ',' if not loop.last }}
                    {%- endfor %}
                )
            from spelled_days as days
            window
                whole as (
                    partition by days.session_id, days.agent_type, days.matched_by, days.usage_date
                ),
                in_order as (
                    whole
                    order by days.is_of_metrics, days.model_name, days.service_tier
                ),
                earlier as (
                    partition by days.session_id, days.agent_type, days.matched_by, days.usage_date
                    order by days.is_of_metrics, days.model_name, days.service_tier
                    rows between unbounded preceding and 1 preceding
                )
    )
{%- endmacro %}

{% macro shared_out(whole, part, earlier, is_last) -%}
    {#- What of a whole falls to a part: as much as it has, once the earlier parts have had theirs; the last one has the
        rest. -#}
    case
        when {{ is_last }}
            then {{ whole }} - least(coalesce({{ earlier }}, 0), greatest({{ whole }}, 0))
        else greatest(least({{ part }}, {{ whole }} - coalesce({{ earlier }}, 0)), 0)
    end
{%- endmacro %}

{% macro told_in_tiers(told_days, usage, families, spellings, kinds) -%}
    {#- One row per session, day, agent, model and tier with a price of its own: what counters alone tell, and where
        events tell of no tier and counters of several, all that these tell, on the day it was counted from. What that
        day has no room for is of the next one that has: a point may reach over midnight. -#}
    (
        with split as (

            select distinct
                session_id,
                agent_type,
                spelling as model_name,
                spelled_tier as service_tier
            from {{ spellings }}
            where is_of_several_speeds and spelled_tier <> 'standard'

        ),

        told_and_room as (

            select
                split.session_id,
                split.agent_type,
                split.model_name,
                split.service_tier,
                least(cast(told.counted_from as date), told.received_on) as usage_date,
                {%- for kind in kinds %}
                cast(told.{{ kind }} as decimal(28, 10)) as {{ kind }}_told,
                0 as {{ kind }}_room{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ usage }} as told
            inner join split
                on
                    told.session_id = split.session_id
                    and told.agent_type = split.agent_type
                    and told.model_name = split.model_name
                    and told.service_tier = split.service_tier
            left join {{ families }} as families
                on
                    told.session_id = families.session_id
                    and told.agent_type = families.agent_type
                    and told.compared_name = families.compared_name
                    and families.usage_source = 'metrics'
            where told.usage_source = 'metrics' and told.family in (families.family, 'cost')

            union all

            select
                split.session_id,
                split.agent_type,
                split.model_name,
                split.service_tier,
                days.usage_date,
                {%- for kind in kinds %}
                0 as {{ kind }}_told,
                days.{{ kind }}_by_events + days.{{ kind }}_by_metrics_alone as {{ kind }}_room{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ told_days }} as days
            inner join split
                on
                    days.session_id = split.session_id
                    and days.agent_type = split.agent_type
                    and days.model_name = split.model_name

        ),

        -- All that was told up to a day, and all that there was room for.
        summed as (

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                usage_date,
                {%- for kind in kinds %}
                sum(sum({{ kind }}_told)) over up_to_day as {{ kind }}_told,
                sum(sum({{ kind }}_room)) over up_to_day as {{ kind }}_room{{ ',' if not loop.last }}
                {%- endfor %}
            from told_and_room
            group by session_id, agent_type, model_name, service_tier, usage_date
            window up_to_day as (
                partition by session_id, agent_type, model_name, service_tier order by usage_date
            )

        ),

        -- Room that a day did not use is not for what is told later, but for what finds none: it began to count before
        -- it says, as a counter without a start does.
        placed as (

            select
                *,
                {%- for kind in kinds %}
                {{ kind }}_room + least(min({{ kind }}_told - {{ kind }}_room) over up_to_day, 0)
                    as {{ kind }}_placed{{ ',' if not loop.last }}
                {%- endfor %}
            from summed
            window up_to_day as (
                partition by session_id, agent_type, model_name, service_tier order by usage_date
            )

        ),

        placed_on_days as (

            select
                *,
                {%- for kind in kinds %}
                {{ kind }}_placed - coalesce(lag({{ kind }}_placed) over by_day, 0) as {{ kind }}_on_day,
                {{ kind }}_room - coalesce(lag({{ kind }}_room) over by_day, 0) - {{ kind }}_on_day
                    as {{ kind }}_left,
                last({{ kind }}_told - {{ kind }}_placed) over (
                    by_day rows between unbounded preceding and unbounded following
                ) as {{ kind }}_without_room{{ ',' if not loop.last }}
                {%- endfor %}
            from placed
            window by_day as (
                partition by session_id, agent_type, model_name, service_tier order by usage_date
            )

        )

            select
                days.session_id,
                days.usage_date,
                days.agent_type,
                days.model_name,
                days.service_tier,
                {%- for kind in kinds %}
                days.{{ kind }}_by_metrics_alone as {{ kind }}{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ told_days }} as days
            left join split
                on
                    days.session_id = split.session_id
                    and days.agent_type = split.agent_type
                    and days.model_name = split.model_name
                    and days.service_tier = split.service_tier
            where days.service_tier <> 'standard' and split.session_id is null

            union all

            select
                session_id,
                usage_date,
                agent_type,
                model_name,
                service_tier,
                {%- for kind in kinds %}
                {{ kind }}_on_day + greatest(
                    least(
                        {{ kind }}_left,
                        {{ kind }}_without_room - coalesce(sum({{ kind }}_left) over later_days, 0)
                    ),
                    0
                ) as {{ kind }}{{ ',' if not loop.last }}
                {%- endfor %}
            from placed_on_days
            window later_days as (
                partition by session_id, agent_type, model_name, service_tier
                order by usage_date
                rows between 1 following and unbounded following
            )
    )
{%- endmacro %}
