{% macro model_spellings(requests, increments) -%}
    {#- One row per session, agent, model, tier and source, with the spelling and the tier by which it counts in the
        session, and with what its events and counters are compared by. An event knows which model ran, and how: it
        counts as it says. A counter may say less: it goes by the spelling of events that has its window and tier,
        or, where it names neither, by the only one that events have; what names no model is the only one that the
        other source names. Where both then tell of the same ones they are compared one by one, else all together. -#}
    (
        with told_models as (

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                'events' as usage_source
            from {{ requests }}

            union

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                'metrics' as usage_source
            from {{ increments }}

        ),

        named_models as (

            select
                *,
                nullif({{ compared_name('model_name') }}, 'unknown') as compared_name,
                -- What makes a price of its own: the mode or tier, and the window.
                case when {{ is_fast_name('model_name') }} then 'fast' else service_tier end
                || regexp_extract({{ listed_name('model_name') }}, '\[1m\]') as manner
            from told_models

        ),

        -- What a source names in a session, where it is one model.
        only_models as (

            select
                session_id,
                agent_type,
                usage_source,
                min(compared_name) as compared_name
            from named_models
            group by session_id, agent_type, usage_source
            having count(distinct compared_name) = 1

        ),

        compared_models as (

            select
                named.* replace (
                    coalesce(named.compared_name, others.compared_name, 'unknown') as compared_name
                )
            from named_models as named
            left join only_models as others
                on
                    named.session_id = others.session_id
                    and named.agent_type = others.agent_type
                    and named.usage_source <> others.usage_source
                    and named.compared_name is null

        ),

        known_spellings as (

            select
                *,
                bool_or(usage_source = 'events') over same_spelling as is_of_events,
                min({model_name: model_name, service_tier: service_tier}) filter (
                    where usage_source = 'events' and model_name <> 'unknown'
                ) over same_manner as in_its_manner,
                min({model_name: model_name, service_tier: service_tier}) filter (
                    where usage_source = 'events' and model_name <> 'unknown'
                ) over same_model as in_events,
                min(model_name) filter (where model_name <> 'unknown') over same_model as any_name
            from compared_models
            window
                same_model as (partition by session_id, agent_type, compared_name),
                same_manner as (partition by session_id, agent_type, compared_name, manner),
                same_spelling as (
                    partition by session_id, agent_type, compared_name, model_name, service_tier
                )

        ),

        spelled as (

            select
                *,
                case
                    when model_name <> 'unknown' and (usage_source = 'events' or is_of_events)
                        then {model_name: model_name, service_tier: service_tier}
                    when usage_source = 'metrics' and in_its_manner is not null then in_its_manner
                    when usage_source = 'metrics' and manner = 'standard' and in_events is not null
                        then in_events
                    when model_name = 'unknown'
                        then {
                                model_name: coalesce(in_events.model_name, any_name, model_name),
                                service_tier: service_tier
                            }
                    else {model_name: model_name, service_tier: service_tier}
                end as counted_as
            from known_spellings

        ),

        told_by as (

            select
                *,
                min(usage_source) over same_model <> max(usage_source) over same_model
                    as is_model_of_both,
                min(usage_source) over same_spelling <> max(usage_source) over same_spelling
                    as is_spelling_of_both
            from spelled
            window
                same_model as (partition by session_id, agent_type, compared_name),
                same_spelling as (partition by session_id, agent_type, compared_name, counted_as)

        )

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                usage_source,
                compared_name,
                counted_as.model_name as spelling,
                counted_as.service_tier as spelled_tier,
                case
                    when is_model_of_both and not bool_and(is_spelling_of_both) over same_model
                        then compared_name
                    else concat_ws(chr(31), counted_as.model_name, counted_as.service_tier)
                end as matched_by
            from told_by
            window same_model as (partition by session_id, agent_type, compared_name)
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

{% macro service_tier(values) -%}
    {#- The tier of a request, of the first of these that is told: what has the price for all is `standard`. -#}
    case lower(trim(coalesce({{ values | join(', ') }})))
        when 'fast' then 'fast'
        when 'batch' then 'batch'
        when 'flex' then 'batch'
        when 'priority' then 'priority'
        when 'ultrafast' then 'ultrafast'
        else 'standard'
    end
{%- endmacro %}
