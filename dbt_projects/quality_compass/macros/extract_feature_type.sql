{% macro extract_feature_type(feature) -%}
    (
        case
            when split_part({{ feature }}, '__', 1) in ('numeric', 'categorical', 'ordinal', 'binary', 'text')
                and position('__' in {{ feature }}) > 0
                then split_part({{ feature }}, '__', 1)
            else 'unknown'
        end
    )
{%- endmacro %}
