{% macro model_spellings(requests, increments) -%}
    {#- One row per session, agent, model, tier and source, with the spelling and the tier by which it counts in the
        session, and with what its events and counters are compared by. An event knows which model ran, and how: it
        counts as it says. A counter may say less: it goes by the spelling of events that has its window and tier,
        or, where it names neither, by the only one that events have. What names no model, in a session of which both
        tell, is the only one that is named, or the only one of which the other side tells more, if that is enough;
        else it stays unknown. Events that tell of no tier (`untold`) ran in those that counters tell. An alias is the
        only model of its line, or any of several. Where both then tell of the same ones they are compared one by one,
        else all together. -#}
    {%- set kinds = ['input', 'output', 'cache_creation', 'cache_read'] -%}
    (
        with told_usage as (

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                'events' as usage_source,
                family,
                {% for kind in kinds -%}
                {{ kind }}_tokens{{ ' + ' if not loop.last }}
                {%- endfor %} as tokens
            from {{ requests }}

            union all

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                'metrics' as usage_source,
                family,
                case when kind in {{ listed(kinds) }} then amount else 0 end as tokens
            from {{ increments }}

        ),

        told_families as (

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                usage_source,
                family,
                sum(tokens) as tokens
            from told_usage
            group by session_id, agent_type, model_name, service_tier, usage_source, family

        ),

        -- The models of a line that are named by their versions, which its alias (`sonnet`) may stand for.
        lines as (

            select
                session_id,
                agent_type,
                {{ model_line('model_name') }} as line,
                count(distinct {{ compared_name('model_name') }}) as models,
                min({{ without_window('model_name') }}) as full_name
            from told_families
            where not {{ is_alias('model_name') }} and {{ model_line('model_name') }} <> ''
            group by session_id, agent_type, line

        ),

        without_aliases as (

            select
                told.* replace (
                    case
                        when lines.models = 1
                            then lines.full_name || {{ window_of('told.model_name') }}
                        else told.model_name
                    end as model_name
                ),
                told.model_name as told_as,
                coalesce(lines.models > 1, false) as is_of_several
            from told_families as told
            left join lines
                on
                    told.session_id = lines.session_id
                    and told.agent_type = lines.agent_type
                    and {{ is_alias('told.model_name') }}
                    and {{ model_line('told.model_name') }} = lines.line

        ),

        named_families as (

            select
                * replace (replace(service_tier, 'untold', 'standard') as service_tier),
                service_tier as told_tier,
                case when is_of_several then 'unknown' else {{ compared_name('model_name') }} end
                    as told_name,
                case
                    when {{ is_fast_name('model_name') }} then 'fast'
                    else replace(service_tier, 'untold', 'standard')
                end as speed
            from without_aliases

        ),

        models_of_families as (

            select
                session_id,
                agent_type,
                told_name,
                usage_source,
                sum(tokens) as tokens
            from named_families
            group by session_id, agent_type, told_name, usage_source, family

        ),

        models as (

            select
                session_id,
                agent_type,
                told_name as compared_name,
                bool_or(usage_source = 'events') as is_of_events,
                bool_or(usage_source = 'metrics') as is_of_metrics,
                coalesce(max(tokens) filter (where usage_source = 'events'), 0) as tokens_by_events,
                coalesce(max(tokens) filter (where usage_source = 'metrics'), 0) as tokens_by_metrics
            from models_of_families
            group by session_id, agent_type, told_name

        ),

        -- What a side leaves without a model, and of which models the other tells more than it does.
        unnamed as (

            select
                session_id,
                agent_type,
                count(*) filter (where compared_name <> 'unknown') as names,
                min(compared_name) filter (where compared_name <> 'unknown') as any_name,
                bool_or(compared_name = 'unknown' and is_of_events and is_of_metrics)
                    as is_of_both,
                {%- for side, other in [('events', 'metrics'), ('metrics', 'events')] %}
                sum(tokens_by_{{ side }}) filter (where compared_name = 'unknown')
                    as tokens_by_{{ side }},
                count(*) filter (
                    where compared_name <> 'unknown' and tokens_by_{{ other }} > tokens_by_{{ side }}
                ) as more_by_{{ other }},
                min({name: compared_name, tokens: tokens_by_{{ other }} - tokens_by_{{ side }}}) filter (
                    where compared_name <> 'unknown' and tokens_by_{{ other }} > tokens_by_{{ side }}
                ) as told_more_by_{{ other }}{{ ',' if not loop.last }}
                {%- endfor %}
            from models
            group by session_id, agent_type
            having
                bool_or(compared_name = 'unknown') and bool_or(is_of_events) and bool_or(is_of_metrics)

        ),

        names_of_unnamed as (

            select
                session_id,
                agent_type,
                unnest(['events', 'metrics']) as usage_source,
                unnest([
                    {%- for side, other in [('events', 'metrics'), ('metrics', 'events')] %}
                    case
                        when names = 1 then any_name
                        when
                            more_by_{{ other }} = 1
                            and not is_of_both
                            and tokens_by_{{ side }} <= told_more_by_{{ other }}.tokens
                            then told_more_by_{{ other }}.name
                    end{{ ',' if not loop.last }}
                    {%- endfor %}
                ]) as only_name
            from unnamed

        ),

        compared_families as (

            select
                named.*,
                coalesce(names.only_name, named.told_name) as compared_name,
                groups.model_group,
                {{ window_of('named.model_name') }} as price_window
            from named_families as named
            inner join {{ model_groups('models', 'session_id', ['is_of_events', 'is_of_metrics']) }} as groups
                on
                    named.session_id = groups.session_id
                    and named.agent_type = groups.agent_type
                    and named.told_name = groups.compared_name
            left join names_of_unnamed as names
                on
                    named.session_id = names.session_id
                    and named.agent_type = names.agent_type
                    and named.usage_source = names.usage_source
                    and named.told_name = 'unknown'

        ),

        speeds as (

            select * from {{ only_speeds('compared_families') }}

        ),

        -- Events that leave the window off a model ran in the one that its counters tell: a short prompt costs the
        -- same in it, and a long one has no other.
        windows as (

            select
                session_id,
                agent_type,
                compared_name,
                max(price_window) as only_window
            from compared_families
            where tokens > 0
            group by session_id, agent_type, compared_name
            having not bool_or(usage_source = 'events' and price_window <> '')

        ),

        compared_models as (

            select distinct
                named.session_id,
                named.agent_type,
                named.told_as,
                named.told_tier,
                case
                    when named.usage_source = 'events' and named.model_name <> 'unknown'
                        then concat(named.model_name, windows.only_window)
                    else named.model_name
                end as model_name,
                named.usage_source,
                named.told_name,
                named.compared_name,
                named.model_group,
                case
                    when named.usage_source = 'events'
                        then coalesce(speeds.only_speed, named.service_tier)
                    else named.service_tier
                end as service_tier,
                -- What makes a price of its own: the mode or tier, and the window.
                case
                    when named.usage_source = 'events'
                        then coalesce(speeds.only_speed, named.speed)
                    else named.speed
                end as speed,
                case
                    when named.usage_source = 'events'
                        then coalesce(windows.only_window, named.price_window)
                    else named.price_window
                end as price_window,
                named.usage_source = 'metrics'
                and named.speed <> 'standard'
                and speeds.compared_name is not null
                and speeds.only_speed is null as is_of_several_speeds
            from compared_families as named
            left join speeds
                on
                    named.session_id = speeds.session_id
                    and named.agent_type = speeds.agent_type
                    and named.compared_name = speeds.compared_name
            left join windows
                on
                    named.session_id = windows.session_id
                    and named.agent_type = windows.agent_type
                    and named.compared_name = windows.compared_name

        ),

        known_spellings as (

            select
                *,
                bool_or(usage_source = 'events') over same_spelling as is_of_events,
                -- Counters that tell of every mode and tier that events do leave none off.
                coalesce(
                    list_has_all(
                        list([speed, price_window]) filter (where usage_source = 'metrics') over same_model,
                        list([speed, price_window]) filter (where usage_source = 'events' and speed <> 'standard')
                            over same_model
                    ),
                    false
                ) as is_manner_told,
                min({model_name: model_name, service_tier: service_tier}) filter (
                    where usage_source = 'events' and model_name <> 'unknown'
                ) over same_manner as in_its_manner,
                min({model_name: model_name, service_tier: service_tier}) filter (
                    where usage_source = 'events' and model_name <> 'unknown'
                ) over same_model as in_events,
                min(model_name) filter (where usage_source = 'events' and model_name <> 'unknown')
                    over same_window as in_its_window,
                min({
                    is_fast: {{ is_fast_name('model_name') }},
                    is_plain: price_window = '',
                    model_name: model_name
                }) filter (where model_name <> 'unknown') over same_model as any_name
            from compared_models
            window
                same_model as (partition by session_id, agent_type, compared_name),
                same_window as (
                    partition by session_id, agent_type, compared_name, price_window
                ),
                same_manner as (partition by session_id, agent_type, compared_name, speed, price_window),
                same_spelling as (
                    partition by session_id, agent_type, compared_name, model_name, service_tier
                )

        ),

        spelled as (

            select
                *,
                case
                    when is_of_several_speeds
                        then {
                                model_name: coalesce(
                                    in_its_window, in_events.model_name, any_name.model_name, model_name
                                ),
                                service_tier: speed
                            }
                    when model_name <> 'unknown' and (usage_source = 'events' or is_of_events)
                        then {model_name: model_name, service_tier: service_tier}
                    when usage_source = 'metrics' and in_its_manner is not null then in_its_manner
                    when
                        usage_source = 'metrics'
                        and speed = 'standard'
                        and price_window = ''
                        and in_events is not null
                        and not is_manner_told
                        then in_events
                    when model_name = 'unknown'
                        then {
                                model_name: coalesce(
                                    in_events.model_name, any_name.model_name, model_name
                                ),
                                service_tier: service_tier
                            }
                    else {model_name: model_name, service_tier: service_tier}
                end as counted_as
            from known_spellings

        ),

        told_by as (

            select
                *,
                min(usage_source) over together <> max(usage_source) over together
                    as is_group_of_both,
                min(compared_name) over together <> max(compared_name) over together
                    as is_group_of_several,
                min(usage_source) over same_spelling <> max(usage_source) over same_spelling
                    as is_spelling_of_both
            from spelled
            window
                together as (partition by session_id, agent_type, model_group),
                same_spelling as (partition by session_id, agent_type, model_group, counted_as)

        )

            select
                session_id,
                agent_type,
                told_as as model_name,
                told_tier as service_tier,
                usage_source,
                model_group as compared_name,
                counted_as.model_name as spelling,
                counted_as.service_tier as spelled_tier,
                case
                    when
                        is_group_of_both
                        and (
                            is_group_of_several
                            or not bool_and(is_spelling_of_both or is_manner_told and usage_source = 'metrics')
                                over together
                        )
                        then model_group
                    else concat_ws(chr(31), counted_as.model_name, counted_as.service_tier)
                end as matched_by,
                is_of_several_speeds
            from told_by
            window together as (partition by session_id, agent_type, model_group)
    )
{%- endmacro %}
