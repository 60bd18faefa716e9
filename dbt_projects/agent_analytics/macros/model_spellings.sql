{% macro model_spellings(requests, increments) -%}
    {#- One row per session, agent, model and source, with the spelling by which the model goes in the session. Where
        both sources tell of it, it is that of the events; a source that names no model tells of the only one that the
        other names. -#}
    (
        with told_models as (

            select
                session_id,
                agent_type,
                model_name,
                'events' as usage_source
            from {{ requests }}

            union

            select
                session_id,
                agent_type,
                model_name,
                'metrics' as usage_source
            from {{ increments }}

        ),

        named_models as (

            select
                *,
                nullif({{ compared_name('model_name') }}, 'unknown') as compared_name
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
                named.session_id,
                named.agent_type,
                named.model_name,
                named.usage_source,
                coalesce(named.compared_name, others.compared_name) as compared_name,
                min(named.usage_source) over same_name <> max(named.usage_source) over same_name
                    as is_told_by_both
            from named_models as named
            left join only_models as others
                on
                    named.session_id = others.session_id
                    and named.agent_type = others.agent_type
                    and named.usage_source <> others.usage_source
                    and named.compared_name is null
            window same_name as (
                partition by named.session_id, named.agent_type, named.model_name
            )

        )

            select
                session_id,
                agent_type,
                model_name,
                usage_source,
                case
                    -- Spellings with prices of their own stay apart where nothing has to be matched.
                    when bool_and(is_told_by_both) over same_model then model_name
                    when min(usage_source) over same_model <> max(usage_source) over same_model
                        then coalesce(
                            min(model_name) filter (
                                where usage_source = 'events' and model_name <> 'unknown'
                            ) over same_model,
                            min(model_name) filter (where model_name <> 'unknown') over same_model,
                            model_name
                        )
                    else model_name
                end as spelling
            from compared_models
            window same_model as (partition by session_id, agent_type, compared_name)
    )
{%- endmacro %}
