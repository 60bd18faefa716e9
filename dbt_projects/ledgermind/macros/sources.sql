{% macro source_columns(relation) -%}
    {#- Name and type of the columns that are there; feedback has had two shapes. PostgreSQL has "Reason" beside reason.
        Those of a source are asked for once in a build, as they stand when the first model asks. -#}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- set known = graph.setdefault('columns_of_sources', {}) -%}
        {%- if relation | string in known -%}
            {{ return(known[relation | string]) }}
        {%- endif -%}
        {%- if target.type == 'postgres' -%}
            {%- do found.update(shared.columns_of(relation)) -%}
        {%- else -%}
            {%- for column in adapter.get_columns_in_relation(relation) -%}
                {%- do found.update({column.name | lower: column.dtype | lower}) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- if relation | string in graph.sources.values() | map(attribute='relation_name') -%}
            {%- do known.update({relation | string: found}) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{% macro utc(name, columns) -%}
    {#- PostgreSQL has both `timestamp` (UTC by agreement) and `timestamptz`; a day is its first moment, if a moment
        holds it. -#}
    {%- if 'with time zone' in columns.get(name, '') -%}
        ({{ name }} at time zone 'UTC')
    {%- elif columns.get(name) == 'date' -%}
        (case when {{ is_plausible_day(name) }} then cast({{ name }} as timestamp) end)
    {%- else -%}
        {{ name }}
    {%- endif -%}
{%- endmacro %}

{% macro utc_day(name, columns) -%}
    {{ return(name if columns.get(name) == 'date' else day_floor(utc(name, columns))) }}
{%- endmacro %}

{% macro utc_or_null(name, columns) -%}
    {{ return(utc(name, columns) if name in columns else 'cast(null as timestamp)') }}
{%- endmacro %}

{% macro as_json(name, columns) -%}
    {#- What PostgreSQL cannot read as a document is none. BigQuery has the text of one. -#}
    {%- if target.type == 'postgres' and columns.get(name) != 'jsonb' -%}
        (
            case
                when pg_input_is_valid({{ shared.text(name) }}, 'jsonb')
                    then cast({{ shared.text(name) }} as jsonb)
            end
        )
    {%- else -%}
        {{ name }}
    {%- endif -%}
{%- endmacro %}

{% macro truth(name, columns) -%}
    {%- if columns.get(name, 'boolean') in ['boolean', 'bool'] -%}
        {{ value_or(name, columns, 'cast(null as boolean)') }}
    {%- else -%}
        (
            case
                when lower({{ shared.text(name) }}) in ('1', 't', 'true') then true
                when lower({{ shared.text(name) }}) in ('0', 'f', 'false') then false
            end
        )
    {%- endif -%}
{%- endmacro %}

{% macro event_key(column) -%}
    {#- Of its own type, for which its table has an index, while events and feedback have the same. A uuid and a text
        of one meet however the text is written. -#}
    {%- set of_events = source_columns(source('operational', 'suggestion_events')).get('id') -%}
    {%- set of_feedback = source_columns(source('operational', 'suggestion_feedback')).get('event_id') -%}
    {%- if of_events == of_feedback or (of_events == 'uuid' and column == 'id') -%}
        {{ return(column) }}
    {%- elif of_events == 'uuid' -%}
        {{ return(
            '(case when pg_input_is_valid(' ~ shared.text(column) ~ ", 'uuid') then cast(" ~ shared.text(column)
            ~ ' as uuid) end)'
        ) }}
    {%- elif of_feedback == 'uuid' -%}
        {{ return('lower(' ~ shared.text(column) ~ ')') }}
    {%- endif -%}
    {{ return(shared.text(column)) }}
{%- endmacro %}

{% macro transaction_key(column) -%}
    {#- Of its own type, for which its table has an index, while all tables that name transactions have
        whole numbers; else as text. -#}
    {%- set types = [] -%}
    {%- for table, name in [
        ('transactions', 'id'), ('suggestion_events', 'txn_id'), ('ml_features', 'txn_id'),
        ('transaction_labels', 'txn_id'),
    ] -%}
        {%- do types.append(source_columns(source('operational', table)).get(name, 'integer')) -%}
    {%- endfor -%}
    {%- set other = types | reject('in', ['smallint', 'integer', 'bigint', 'int64']) | list -%}
    {{ return(shared.text(column) if other else column) }}
{%- endmacro %}
