{% macro model_groups(models, owner, sides) -%}
    {#- One row per owner, agent and model of these, with the group in which it is compared. What names no model may be
        any of those that the other side names and its own does not: these are compared together, as `unknown`. Where
        both name the same ones it may be any. The relation has a row per owner, agent and compared name, and says of
        each side whether it tells of it. -#}
    {%- set one, other = sides -%}
    (
        with told_of as (

            select
                *,
                {%- for side, opposite in [(one, other), (other, one)] %}
                bool_or(compared_name = 'unknown' and {{ side }}) over told as is_unnamed_{{ side }},
                bool_or(compared_name <> 'unknown' and {{ side }} and not {{ opposite }}) over told
                    as has_own_{{ side }}{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ models }}
            window told as (partition by {{ owner }}, agent_type)

        )

            select
                {{ owner }},
                agent_type,
                compared_name,
                case
                    {%- for side, opposite in [(one, other), (other, one)] %}
                    when
                        is_unnamed_{{ side }} and {{ opposite }}
                        and not ({{ side }} and has_own_{{ opposite }})
                        then 'unknown'
                    {%- endfor %}
                    else compared_name
                end as model_group
            from told_of
    )
{%- endmacro %}
