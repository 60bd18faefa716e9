{% macro newest_run_of(relation) -%}
    {#- The newest run, of the set that readers see, that has rows there: a run that came without some of its files hides none of them. Where the
        brake keeps rows of runs that are gone, the newest of those by its id. -#}
    coalesce(
        (
            select runs.run_id
            from {{ ref('stg_runs') }} as runs
            where exists (select 1 from {{ relation }} as found where found.run_id = runs.run_id)
            order by runs.is_shown desc, runs.run_at desc, runs.run_id desc
            limit 1
        ),
        (select max(kept.run_id) from {{ relation }} as kept)
    )
{%- endmacro %}

{% macro preference_as_spelled_outside(direction) -%}
    (case when {{ direction }} in ('lower', 'higher') then {{ direction }} || '_is_better' else {{ direction }} end)
{%- endmacro %}

{% macro as_decimal(figure) -%}
    {#- Every digit of the double, not the fifteen of a plain cast. -#}
    cast(cast({{ figure }} as text) as numeric)
{%- endmacro %}
