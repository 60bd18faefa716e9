{% macro method_name(statistical_method) -%}
    (
        case
            when {{ statistical_method }} like '%simple\_zscore%' then 'simple_zscore'
            when {{ statistical_method }} like '%robust\_zscore%' then 'robust_zscore'
            when {{ statistical_method }} like '%slope\_percentile%' then 'slope_percentile'
            else 'other'
        end
    )
{%- endmacro %}
