{% macro only_speeds(families) -%}
    {#- One row per session, agent and model whose events tell of no mode or tier and whose counters do, with the one
        in which these events ran. Counters that name no model tell of any. Of several modes there is none: each counts
        as the counters tell; `unknown`, which has no price, where some of them are not of the price for all and name no
        model. -#}
    (
        select
            events.session_id,
            events.agent_type,
            events.compared_name,
            case
                when count(distinct counters.speed) = 1 then min(counters.speed)
                when bool_or(
                        counters.compared_name = 'unknown'
                        and events.compared_name <> 'unknown'
                        and counters.speed <> 'standard'
                    )
                    then 'unknown'
            end as only_speed
        from (
            select
                session_id,
                agent_type,
                model_group,
                compared_name
            from {{ families }}
            where usage_source = 'events' and tokens > 0
            group by session_id, agent_type, model_group, compared_name
            having bool_and(told_tier = 'untold' and speed = 'standard')
        ) as events
        inner join {{ families }} as counters
            on
                events.session_id = counters.session_id
                and events.agent_type = counters.agent_type
                and events.model_group = counters.model_group
                and counters.compared_name in (events.compared_name, 'unknown')
        where counters.usage_source = 'metrics' and counters.tokens > 0
        group by events.session_id, events.agent_type, events.compared_name
    )
{%- endmacro %}
