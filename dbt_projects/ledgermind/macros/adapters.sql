{% macro day_floor(moment) -%}
    {{ return(adapter.dispatch('day_floor', 'ledgermind')(moment)) }}
{%- endmacro %}

{% macro postgres__day_floor(moment) -%}
    cast({{ moment }} as date)
{%- endmacro %}

{% macro bigquery__day_floor(moment) -%}
    date({{ moment }})
{%- endmacro %}

{% macro json_length(document) -%}
    {{ return(adapter.dispatch('json_length', 'ledgermind')(document)) }}
{%- endmacro %}

{% macro postgres__json_length(document) -%}
    (
        case
            when jsonb_typeof({{ document }}) = 'array' then jsonb_array_length({{ document }})
            else 0
        end
    )
{%- endmacro %}

{% macro bigquery__json_length(document) -%}
    {#- The emulator fails on a document that is no array, where BigQuery returns null. -#}
    if(
        starts_with(ltrim({{ document }}), '['),
        ifnull(array_length(json_query_array({{ document }})), 0),
        0
    )
{%- endmacro %}

{% macro json_extract_scalar(document, index, key) -%}
    {{ return(adapter.dispatch('json_extract_scalar', 'ledgermind')(document, index, key)) }}
{%- endmacro %}

{% macro postgres__json_extract_scalar(document, index, key) -%}
    {%- set found = document ~ ' -> ' ~ index ~ " -> '" ~ key ~ "'" -%}
    (
        case
            when jsonb_typeof({{ found }}) not in ('object', 'array')
                then {{ document }} -> {{ index }} ->> '{{ key }}'
        end
    )
{%- endmacro %}

{% macro bigquery__json_extract_scalar(document, index, key) -%}
    json_value({{ document }}, '$[{{ index }}].{{ key }}')
{%- endmacro %}

{% macro safe_float(text) -%}
    {{ return(adapter.dispatch('safe_float', 'ledgermind')(text)) }}
{%- endmacro %}

{% macro decimal_pattern() -%}
    ^[-+]?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]{1,5})?$
{%- endmacro %}

{% macro postgres__safe_float(text) -%}
    {#- jsonb writes 1e-50 with its fifty decimals, of which it has up to 16,383, and a cast to a float fails where
        BigQuery's gives 0. -#}
    (
        case
            when {{ text }} !~ '{{ decimal_pattern() }}' or length({{ text }}) > 20000 then null
            when not pg_input_is_valid({{ text }}, 'numeric') then case when {{ text }} ~ '[eE]-' then 0 end
            when abs(cast({{ text }} as numeric)) > 1e300 then null
            when abs(cast({{ text }} as numeric)) < 1e-300 then 0
            else cast(cast({{ text }} as numeric) as double precision)
        end
    )
{%- endmacro %}

{% macro bigquery__safe_float(text) -%}
    (
        case
            when not regexp_contains({{ text }}, r'{{ decimal_pattern() }}') or length({{ text }}) > 20000 then null
            when abs(safe_cast({{ text }} as float64)) > 1e300 then null
            when abs(safe_cast({{ text }} as float64)) < 1e-300 then 0
            else safe_cast({{ text }} as float64)
        end
    )
{%- endmacro %}

{% macro moment(text, type='timestamp') -%}
    {#- An instant in UTC, as the given type of PostgreSQL: with a time zone or without. -#}
    {{ return(adapter.dispatch('moment', 'ledgermind')(text, type)) }}
{%- endmacro %}

{% macro postgres__moment(text, type) -%}
    cast('{{ text }}+00' as {{ type }})
{%- endmacro %}

{% macro bigquery__moment(text, type) -%}
    timestamp('{{ text }}+00:00')
{%- endmacro %}

{% macro whole(expression) -%}
    cast({{ expression }} as {{ 'int64' if target.type == 'bigquery' else 'bigint' }})
{%- endmacro %}

{% macro real(expression) -%}
    cast({{ expression }} as {{ 'float64' if target.type == 'bigquery' else 'double precision' }})
{%- endmacro %}

{% macro mean(total, count) -%}
    {#- On PostgreSQL a numeric with its twenty decimals, as LedgerMind has always shown it. -#}
    {{ return(adapter.dispatch('mean', 'ledgermind')(total, count)) }}
{%- endmacro %}

{% macro postgres__mean(total, count) -%}
    cast(cast({{ total }} as numeric) / nullif({{ count }}, 0) as numeric(38, 20))
{%- endmacro %}

{% macro bigquery__mean(total, count) -%}
    safe_divide({{ total }}, {{ count }})
{%- endmacro %}

{% macro row_version(relation, columns, documents=[]) -%}
    {#- A whole number of 32 bits that another version of a row does not share; sums of them stay whole. BigQuery, which
        bills what is read, leaves documents out. -#}
    {{ return(adapter.dispatch('row_version', 'ledgermind')(relation, columns, documents)) }}
{%- endmacro %}

{% macro postgres__row_version(relation, columns, documents) -%}
    {#- The transaction that wrote the row; as a hash from PostgreSQL 18, which has no other quick way from it to a
        number. A view or a foreign table does not tell it, nor a table of which a role may read some columns. -#}
    {%- set found = load_relation(relation) if execute -%}
    {%- set told = run_query(
        "select to_regproc('pg_catalog.hashxid'), "
        ~ "has_column_privilege(to_regclass('" ~ relation ~ "'), 'xmin', 'select')"
    ).rows[0] if found and found.is_table else [none, false] -%}
    {%- if told[1] -%}
        {{ 'hashxid(xmin)' if told[0] else 'cast(cast(xmin as text) as bigint)' }}
    {%- else -%}
        (hash_record_extended(row({{ (columns + documents) | join(', ') }}), 0) % 2147483647)
    {%- endif -%}
{%- endmacro %}

{% macro bigquery__row_version(relation, columns, documents) -%}
    mod(
        farm_fingerprint(
            concat(
                {%- for column in columns -%}
                    {#- No two lists of values give one text: each is told by its length, too. -#}
                    coalesce(
                        concat(cast(length(cast({{ column }} as string)) as string), '|', cast({{ column }} as string)),
                        '~'
                    ){{ ', ' if not loop.last }}
                {%- endfor -%}
            )
        ),
        2147483647
    )
{%- endmacro %}

{% macro evaluated_once() -%}
    {#- Ends a query whose expressions PostgreSQL would else evaluate again wherever their names are used. -#}
    {{ 'offset 0' if target.type == 'postgres' }}
{%- endmacro %}
