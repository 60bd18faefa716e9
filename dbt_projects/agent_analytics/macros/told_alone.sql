{% macro told_alone(compared, usage, kinds, measures) -%}
    {#- One row per session without a name, day, agent and model, with what it tells of each kind that nothing it is
        compared with tells: what counters alone tell, and what events alone do. -#}
    (
        with told_models as (

            select
                compared.counted_for as developer_id,
                compared.agent_type,
                {{ compared_name('usage.model_name') }} as compared_name,
                bool_or(compared.is_session_known) as is_in_sessions,
                bool_or(not compared.is_session_known) as is_nameless
            from {{ compared }} as compared
            inner join {{ usage }} as usage
                on
                    compared.session_id = usage.session_id
                    and compared.agent_type = usage.agent_type
            group by compared.counted_for, compared.agent_type, {{ compared_name('usage.model_name') }}

        ),

        model_groups as (

            select *
            from {{ model_groups('told_models', 'developer_id', ['is_in_sessions', 'is_nameless']) }}

        ),

        usage_of_developers as (

            select
                usage.session_id,
                compared.counted_for as developer_id,
                compared.is_session_known,
                usage.agent_type,
                usage.model_name,
                model_groups.model_group as compared_name,
                usage.usage_date,
                {%- for kind in kinds %}
                {%- set told = 'coalesce(usage.' ~ kind ~ ', 0)' if loop.last else 'usage.total_' ~ kind %}
                case
                    when compared.is_session_known
                        then least(usage.{{ kind }}_by_metrics - usage.{{ kind }}_by_events, 0)
                    else {{ told }} - usage.{{ kind }}_by_events
                end as {{ kind }},
                case
                    when compared.is_session_known
                        then least(usage.{{ kind }}_by_events - {{ told }}, 0)
                    else greatest(usage.{{ kind }}_by_events - usage.{{ kind }}_by_metrics, 0)
                end as {{ kind }}_of_events{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ compared }} as compared
            inner join {{ usage }} as usage
                on
                    compared.session_id = usage.session_id
                    and compared.agent_type = usage.agent_type
            inner join model_groups
                on
                    compared.counted_for = model_groups.developer_id
                    and compared.agent_type = model_groups.agent_type
                    and {{ compared_name('usage.model_name') }} = model_groups.compared_name

        ),

        days_of_developers as (

            select
                developer_id,
                agent_type,
                compared_name,
                usage_date,
                {%- for measure in measures %}
                sum({{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
                {%- endfor %}
            from usage_of_developers
            group by developer_id, agent_type, compared_name, usage_date

        ),

        after_days as (

            select
                *,
                usage_date - lag(usage_date) over (
                    partition by developer_id, agent_type, compared_name order by usage_date
                ) > 1 as is_after_silence
            from days_of_developers

        ),

        runs as (

            select
                *,
                count(*) filter (where is_after_silence) over (
                    partition by developer_id, agent_type, compared_name order by usage_date
                ) as run_number
            from after_days

        ),

        -- Counters tell usage after the events do, events before the counters: the ones are added up from
        -- the first day on, the others from the last day back.
        {%- set earlier = 'partition by developer_id, agent_type, compared_name, run_number order by usage_date' %}
        ahead as (

            select
                *,
                {%- for measure in measures %}
                sum({{ measure }}) over ({{ earlier }}{{ ' desc' if loop.index > kinds | length }})
                    as {{ measure }}_ahead{{ ',' if not loop.last }}
                {%- endfor %}
            from runs

        ),

        most_ahead as (

            select
                *,
                {%- for measure in measures %}
                greatest(
                    max({{ measure }}_ahead) over (
                        {{ earlier }}{{ ' desc' if loop.index > kinds | length }}
                    ), 0
                ) as {{ measure }}_most_ahead{{ ',' if not loop.last }}
                {%- endfor %}
            from ahead

        ),

        alone_on_days as (

            select
                developer_id,
                agent_type,
                compared_name,
                usage_date,
                {%- for measure in measures %}
                {{ measure }}_most_ahead - coalesce(
                    lag({{ measure }}_most_ahead) over (
                        {{ earlier }}{{ ' desc' if loop.index > kinds | length }}
                    ), 0
                ) as {{ measure }}{{ ',' if not loop.last }}
                {%- endfor %}
            from most_ahead

        )

        -- A developer of several names, or a model of several spellings, has several rows on a day: the
        -- first ones take of what was told alone as much as they told, those with a model before others.
        select
            told.session_id,
            told.agent_type,
            told.model_name,
            told.usage_date,
            {%- for measure in measures %}
            greatest(
                least(
                    told.{{ measure }},
                    days.{{ measure }} - coalesce(sum(told.{{ measure }}) over earlier, 0)
                ), 0
            ) as {{ measure }}{{ ',' if not loop.last }}
            {%- endfor %}
        from usage_of_developers as told
        inner join alone_on_days as days
            on
                told.developer_id = days.developer_id
                and told.agent_type = days.agent_type
                and told.compared_name = days.compared_name
                and told.usage_date = days.usage_date
        where not told.is_session_known
        window earlier as (
            partition by told.developer_id, told.agent_type, told.compared_name, told.usage_date
            order by told.model_name = 'unknown', told.session_id, told.model_name
            rows between unbounded preceding and 1 preceding
        )
    )
{%- endmacro %}
