{% macro metric_words(metric_id) -%}
    {#- 'icuLosIndex' and 'ICU_LOS_index' both become ' icu los index ': a word is then looked for between spaces. -#}
    (
        ' ' || lower(
            regexp_replace(
                regexp_replace(
                    regexp_replace({{ metric_id }}, '([a-z0-9])([A-Z])', '\1 \2', 'g'),
                    '([A-Z]+)([A-Z][a-z])', '\1 \2', 'g'
                ),
                '[^A-Za-z0-9]+', ' ', 'g'
            )
        ) || ' '
    )
{%- endmacro %}

{% macro classify_metric_domain(metric_id) -%}
    (
        case
            when {{ metric_words(metric_id) }} ~ ' los | length (of )?stay ' then 'Efficiency'
            when {{ metric_words(metric_id) }} ~ ' (readmission|readmissions|readmit|readmitted) ' then 'Effectiveness'
            when {{ metric_words(metric_id) }} ~ ' (mortality|death|deaths) ' then 'Safety'
            when {{ metric_words(metric_id) }} ~ ' (infection|infections|sepsis) ' then 'Safety'
            when {{ metric_words(metric_id) }} ~ ' (fall|falls) ' then 'Safety'
            when {{ metric_words(metric_id) }} ~ ' (cost|costs|charge|charges) ' then 'Efficiency'
            when {{ metric_words(metric_id) }} ~ ' (wait|waits|throughput) ' then 'Efficiency'
            else 'Other'
        end
    )
{%- endmacro %}

{% macro metric_direction(metric_id) -%}
    (
        case
            when {{ metric_words(metric_id) }}
                ~ ' (los|readmission|readmissions|mortality|cost|costs|fall|falls|infection|infections) '
                then 'lower'
            when {{ metric_words(metric_id) }} ~ ' (satisfaction|compliance) ' then 'higher'
            else 'context_dependent'
        end
    )
{%- endmacro %}
