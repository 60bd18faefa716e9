{% macro source_key(table) -%}
    {#- What staging knows a row of a source by. -#}
    {%- if table == 'suggestion_events' -%}
        {{ return(event_key('id')) }}
    {%- elif table == 'suggestion_feedback' -%}
        {{ return('id') }}
    {%- elif table == 'transactions' -%}
        {{ return(transaction_key('id')) }}
    {%- elif table == 'model_registry' -%}
        {{ return(bounded_name('model_id')) }}
    {%- endif -%}
    {{ return(transaction_key('txn_id')) }}
{%- endmacro %}

{% macro doubtful_keys(table) -%}
    {#- Whether rows of a source have no key, and whether some have the key of another. Asked once in a build, and of
        the rows only where no unique index of PostgreSQL's tells: a table may have none, and a view or a copy has none.
        What a role may not read, and a column that is not there, is told elsewhere. -#}
    {%- set told = {'missing': false, 'repeated': false} -%}
    {%- if execute -%}
        {%- set known = graph.setdefault('doubtful_keys', {}) -%}
        {%- if table in known -%}
            {{ return(known[table]) }}
        {%- endif -%}
        {%- set relation = source('operational', table) -%}
        {%- set column = {'model_registry': 'model_id', 'transaction_labels': 'txn_id', 'ml_features': 'txn_id'}.get(table, 'id') -%}
        {%- set is_asked = column in source_columns(relation) -%}
        {%- if is_asked and target.type == 'postgres' -%}
            {%- set is_asked = run_query(
                "select has_column_privilege(attrelid, attnum, 'select') and not (attnotnull and exists ("
                ~ 'select 1 from pg_index where indrelid = attrelid and indkey[0] = attnum and indnkeyatts = 1 '
                ~ 'and indisunique and indisvalid and indpred is null and indexprs is null)) '
                ~ "from pg_attribute where attrelid = to_regclass('" ~ relation ~ "') and attname = '" ~ column ~ "'"
            ).rows[0][0] -%}
        {%- endif -%}
        {%- if is_asked -%}
            {%- set key = source_key(table) -%}
            {%- set found = run_query(
                'select coalesce(max(case when found_key is null then 1 else 0 end), 0), '
                ~ 'coalesce(max(case when found_key is not null then found_rows end), 0) '
                ~ 'from (select ' ~ key ~ ' as found_key, count(*) as found_rows from ' ~ relation
                ~ ' group by 1) as keys_of_rows'
            ).rows[0] -%}
            {%- do told.update({'missing': found[0] > 0, 'repeated': found[1] > 1}) -%}
        {%- endif -%}
        {%- do known.update({table: told}) -%}
    {%- endif -%}
    {{ return(told) }}
{%- endmacro %}

{% macro one_of_each_key(rows, table, key, order) -%}
    {#- The rows of a staging model that have a key; of several with one the first in this order, and where that does
        not tell, the one whose columns read first. -#}
    {%- set doubtful = doubtful_keys(table) -%}
    {%- if doubtful['repeated'] and target.type == 'postgres' -%}
        select distinct on ({{ key }}) *
        from {{ rows }}
        where {{ key }} is not null
        order by {{ key }}, {{ order }}, cast(to_jsonb({{ rows }}) as text)
    {%- elif doubtful['repeated'] -%}
        select *
        from {{ rows }}
        where {{ key }} is not null
        qualify row_number() over (partition by {{ key }} order by {{ order }}, to_json_string({{ rows }})) = 1
    {%- elif doubtful['missing'] -%}
        select * from {{ rows }} where {{ key }} is not null
    {%- else -%}
        select * from {{ rows }}
    {%- endif -%}
{%- endmacro %}

{% macro rows_without_a_place(table, condition='true') -%}
    {#- Of those that meet the condition the rows that staging leaves out for their key: none, or one that counts. -#}
    {%- set key, doubtful = source_key(table), doubtful_keys(table) -%}
    select
        '{{ table }}' as source_table,
        {{ shared.text('row_key') }} as row_id,
        case when row_key is null then 'missing_key' else 'repeated_key' end as reason
    from (
        select
            {{ key }} as row_key,
            row_number() over (partition by {{ key }} order by {{ key }}) as place
        from {{ source('operational', table) }}
        where {{ condition }}
    ) as keyed
    where row_key is null or place > 1
{%- endmacro %}
