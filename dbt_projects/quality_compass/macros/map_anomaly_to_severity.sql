{% macro map_anomaly_to_severity(label) -%}
    (
        case
            when {{ label }} like 'extremely\_%' then 'Critical'
            when {{ label }} like 'very\_%' then 'High'
            when {{ label }} like 'moderately\_%' or {{ label }} in ('high', 'low') then 'Moderate'
            when {{ label }} like 'slightly\_%' then 'Watch'
        end
    )
{%- endmacro %}

{% macro anomaly_rank(label) -%}
    {#- 4 for the outermost tier, 0 for normal; NULL where there is no score. -#}
    (
        case {{ map_anomaly_to_severity(label) }}
            when 'Critical' then 4
            when 'High' then 3
            when 'Moderate' then 2
            when 'Watch' then 1
            else case when {{ label }} = 'normal' then 0 end
        end
    )
{%- endmacro %}

{% macro worst_label(label, condition=none) -%}
    {#- An aggregate: the label farthest out, of a high and a low one as far out the high one. -#}
    (
        array_agg(
            {{ label }} order by
                {{ anomaly_rank(label) }} desc nulls last, {{ label }} like '%high' desc, {{ label }} asc
        )
        {%- if condition %} filter (where {{ condition }}){% endif %}
    )[1]
{%- endmacro %}

{% macro is_anomaly_favorable(label, direction_preference) -%}
    {#- A low value is good where lower is better. NULL where the label or the metric has no side. -#}
    (
        case
            when {{ map_anomaly_to_severity(label) }} is null then null
            when {{ direction_preference }} = 'lower' then {{ label }} like '%low'
            when {{ direction_preference }} = 'higher' then {{ label }} like '%high'
        end
    )
{%- endmacro %}
