{% macro model_groups(models, owner, sides) -%}
    {#- One row per owner, agent and model of these, with the group in which it is compared. What names no model may be
        any: where both sides tell and one of them leaves the model off anything, all are compared together, as
        `unknown`. Apart, the same usage could count under a name and without one. The relation has a row per owner,
        agent and compared name, and says of each side whether it tells of it. -#}
    {%- set one, other = sides -%}
    (
        select
            {{ owner }},
            agent_type,
            compared_name,
            case
                when
                    bool_or(compared_name = 'unknown') over told
                    and bool_or({{ one }}) over told
                    and bool_or({{ other }}) over told
                    then 'unknown'
                else compared_name
            end as model_group
        from {{ models }}
        window told as (partition by {{ owner }}, agent_type)
    )
{%- endmacro %}
