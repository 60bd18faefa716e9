{% macro changed_run_ids() -%}
    {#- The runs whose rows in this model are missing or were built from other file contents. A literal list: the
        planner then knows how few rows of the raw tables lie behind it. -#}
    {%- set runs = ref('stg_runs') -%}
    {%- set ids = [] -%}
    {%- if execute and is_incremental() -%}
        {%- set ids = run_query(
            "select runs.run_id from " ~ runs ~ " as runs where not exists (select 1 from " ~ this
            ~ " as built where built.run_id = runs.run_id and built.run_version = runs.run_version) order by 1"
        ).columns[0].values() -%}
    {%- endif -%}
    {{ return(ids) }}
{%- endmacro %}

{% macro in_changed_runs(column) -%}
    {#- Named outside the condition: dbt learns what a model depends on before it knows that it is incremental. -#}
    {%- set runs = ref('stg_runs') -%}
    {%- if not is_incremental() -%}
        true
    {%- else -%}
        {%- set ids = changed_run_ids() -%}
        {%- if ids -%}
            {{ column }} in ('{{ ids | join("', '") }}')
        {%- else -%}
            false
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro forget_changed_runs() -%}
    {%- set runs = ref('stg_runs') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} as built
        where not exists (
            select 1 from {{ runs }} as runs
            where runs.run_id = built.run_id and runs.run_version = built.run_version
        )
    {%- endif -%}
{%- endmacro %}
