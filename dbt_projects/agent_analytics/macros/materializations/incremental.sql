{% materialization incremental, adapter='duckdb' %}
    {#- What the model selects replaces the rows of the same unique_key. A row without input_hash only says that what
        it was made from is gone. -#}
    {%- if not is_incremental() -%}
        {{ return(write_whole('table', sql)) }}
    {%- endif -%}
    {%- set keys = config.require('unique_key') -%}
    {%- set new = adapter.quote(this.identifier ~ '__new') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('new') -%}
        create or replace temp table {{ new }} as (
            {{ sql }}
        )
    {%- endcall %}
    {{ refuse_other_columns(new) }}
    {% call statement('main') -%}
        delete from {{ this }} as built
        using (select distinct {{ columns_of('made', keys) }} from {{ new }} as made) as new
        where {{ equal_keys('built', 'new', keys) }};
        insert into {{ this }} by name
        select * from {{ new }}
        where input_hash is not null;
        drop table {{ new }}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}

{% macro refuse_other_columns(new) -%}
    {%- set other = run_query(
        "with new as (select column_name || ' ' || column_type as n from (describe " ~ new ~ ")), "
        "built as (select column_name || ' ' || column_type as n from (describe " ~ this ~ ")) "
        "(from new except from built) union (from built except from new)"
    ).columns[0].values() -%}
    {%- if other -%}
        {{ exceptions.raise_compiler_error(
            this ~ " has other columns than its model: " ~ other | join(", ") ~ ". Build it once with --full-refresh"
        ) }}
    {%- endif -%}
{%- endmacro %}
