{% macro same_columns(sql) -%}
    {#- The columns of a model whose table or view is there with the same ones, of the same types, which are also
        those of its contract; else none. Rows are written by the names of columns: their order is a matter of views
        alone. One query: dbt's own ways ask for columns up to eight times. -#}
    {#- What is asked once another relation has its place would be of that one. -#}
    {%- do shared.has_readers(this) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set type = 'view' if config.get('materialized') == 'view' else 'table' -%}
    {%- if existing is none or existing.type != type -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set sources = ['(' ~ sql ~ ')', existing | string] -%}
    {%- if config.get('contract').enforced -%}
        {%- do sources.append('(' ~ get_empty_schema_sql(model['columns']) ~ ')') -%}
    {%- endif -%}
    {%- set query -%}
        select *
        from {% for source in sources %}{{ source }} as source_{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}
        where false
        limit 0
    {%- endset -%}
    {%- set described = [] -%}
    {%- for column in adapter.get_column_schema_from_query(query) -%}
        {%- do described.append((column.name, column.dtype)) -%}
    {%- endfor -%}
    {%- set width = described | length // sources | length -%}
    {%- set columns = described[:width] -%}
    {%- set in_order = [] -%}
    {%- for number in range(sources | length) -%}
        {%- do in_order.extend(described[number * width:(number + 1) * width] | sort) -%}
    {%- endfor -%}
    {%- if
        described | length != width * sources | length
        or in_order != (columns | sort) * sources | length
        or (type == 'view' and described[width:2 * width] != columns)
        or shared.precisions_differ(existing, sql)
    -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(columns | map(attribute=0) | list) }}
{%- endmacro %}

{% macro precisions_differ(existing, sql) -%}
    {#- Whether columns have other lengths or places than those that are there, which an insert would cut rows to and a
        view cannot change: the names of types do not tell. Those of a table with a contract are known; else a view
        tells. -#}
    {%- if config.get('contract').enforced and existing.type == 'table' -%}
        {%- set wanted = [] -%}
        {%- for column in model['columns'].values() -%}
            {%- set found = modules.re.search('[(]([0-9, ]+)[)]', column.data_type) -%}
            {%- do wanted.append((column.name, '(' ~ found[1] | replace(' ', '') ~ ')' if found else '')) -%}
        {%- endfor -%}
    {%- else -%}
        {%- do run_query('create or replace temporary view precisions as (' ~ sql ~ ')') -%}
        {%- set wanted = shared.precisions_of('pg_temp.precisions') -%}
        {%- do run_query('drop view pg_temp.precisions') -%}
    {%- endif -%}
    {{ return(dict(wanted) != dict(shared.precisions_of(existing))) }}
{%- endmacro %}

{% macro precisions_of(relation) -%}
    {%- set found = run_query(
        "select attname, coalesce(substring(format_type(atttypid, atttypmod) from '[(].*[)]'), '') from pg_attribute "
        ~ "where attrelid = to_regclass('" ~ relation ~ "') and attnum > 0 and not attisdropped"
    ) -%}
    {%- set precisions = [] -%}
    {%- for row in found.rows -%}
        {%- do precisions.append((row[0], row[1])) -%}
    {%- endfor -%}
    {{ return(precisions) }}
{%- endmacro %}

{% macro same_indexes(existing) -%}
    {#- Whether a table has the indexes and keys of its model: what others hung on it is not asked, nor the order of a
        column or what an expression is. -#}
    {%- set wanted = [] -%}
    {%- for index in config.get('indexes', []) -%}
        {%- set columns = [] -%}
        {%- for column in index.columns -%}
            {%- do columns.append('()' if '(' in column else column.split(' ')[0]) -%}
        {%- endfor -%}
        {%- do wanted.append((columns | join(','), index.get('unique', false), index.get('type') or 'btree')) -%}
    {%- endfor -%}
    {%- if config.get('contract').enforced -%}
        {%- for part in [model] + model['columns'].values() | list -%}
            {%- for constraint in part.constraints if constraint.type in ('primary_key', 'unique') -%}
                {%- do wanted.append(((constraint.columns or [part.name]) | join(','), true, 'btree')) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set found = [] -%}
    {%- for columns, is_unique, type in run_query(shared.indexes_of(existing)).rows -%}
        {%- do found.append((columns, is_unique, type)) -%}
    {%- endfor -%}
    {{ return(found | sort == wanted | sort) }}
{%- endmacro %}

{% macro indexes_of(relation) -%}
    select
        (
            select string_agg(coalesce(attname, '()'), ',' order by place)
            from unnest(cast(indkey as smallint[])) with ordinality as keys (number, place)
            left join pg_attribute on attrelid = indrelid and attnum = number
        ),
        indisunique,
        amname
    from pg_index
    inner join pg_class on indexrelid = pg_class.oid
    inner join pg_am on relam = pg_am.oid
    where
        indrelid = to_regclass('{{ relation }}')
        and (relname ~ '^[0-9a-f]{32}$' or exists (select from pg_constraint where conindid = indexrelid))
{%- endmacro %}
