{% macro changed_run_ids() -%}
    {#- The runs whose rows in this model are missing, were built from other file contents or belong to no run any more.
        All rows of a run are built at once, so one of them tells the version; the run ids are walked along the index.
        A literal list: the planner then knows how few rows of the raw tables lie behind it. -#}
    {%- set runs = ref('stg_runs') -%}
    {%- if not (execute and is_incremental()) -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set found -%}
        with recursive built as (
            (select run_id from {{ this }} order by run_id limit 1)
            union all
            select (
                select further.run_id from {{ this }} as further
                where further.run_id > built.run_id
                order by further.run_id
                limit 1
            )
            from built
            where built.run_id is not null
        ),
        versions as (
            select
                built.run_id,
                (
                    select one.run_version from {{ this }} as one
                    where one.run_id = built.run_id
                    limit 1
                ) as run_version
            from built
            where built.run_id is not null
        )
        select coalesce(runs.run_id, versions.run_id)
        from {{ runs }} as runs
        full join versions on runs.run_id = versions.run_id
        where runs.run_version is distinct from versions.run_version
        order by 1
    {%- endset -%}
    {{ return(run_query(found).columns[0].values()) }}
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
    {%- set ids = changed_run_ids() -%}
    {%- if ids -%}
        delete from {{ this }} where run_id in ('{{ ids | join("', '") }}')
    {%- endif -%}
{%- endmacro %}
