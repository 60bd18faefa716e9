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

{% macro in_changed_runs(column, changed) -%}
    {%- if not is_incremental() -%}
        true
    {%- elif changed -%}
        {{ column }} in ('{{ changed | join("', '") }}')
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{% macro columns_of_model_and_table(sql) -%}
    {#- The columns that both have, for an insert by name; an error unless they are the same. -#}
    {%- set model_columns = get_column_schema_from_query(sql) | map(attribute='name') | list -%}
    {%- set table_columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- if model_columns | sort != table_columns | sort -%}
        {{ exceptions.raise_compiler_error(
            "building into " ~ this ~ ": the model has the columns " ~ model_columns | join(', ')
            ~ ", the table has " ~ table_columns | join(', ')
            ~ ". Build it with --full-refresh, and what reads it"
        ) }}
    {%- endif -%}
    {{ return(model_columns | join(', ')) }}
{%- endmacro %}
