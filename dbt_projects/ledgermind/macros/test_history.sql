{% macro test_history_relation() -%}
    {{ return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='dbt_test_results'
    )) }}
{%- endmacro %}

{% macro create_test_history() -%}
    {%- if execute and flags.WHICH in ('build', 'test', 'run') -%}
        {%- do adapter.create_schema(api.Relation.create(database=target.database, schema=target.schema)) -%}
        create table if not exists {{ test_history_relation() }} (
            invocation_id {{ dbt.type_string() }},
            run_at timestamp,
            test_name {{ dbt.type_string() }},
            status {{ dbt.type_string() }},
            failures {{ 'int64' if target.type == 'bigquery' else 'bigint' }},
            seconds {{ 'float64' if target.type == 'bigquery' else 'double precision' }}
        )
    {%- endif -%}
{%- endmacro %}

{% macro record_test_history(results) -%}
    {%- if execute -%}
        {%- set tests = [] -%}
        {%- for result in results
            if result.node.resource_type == 'test' and result.status | string != 'skipped' -%}
            {%- do tests.append(result) -%}
        {%- endfor -%}
        {%- if tests -%}
            insert into {{ test_history_relation() }}
            (invocation_id, run_at, test_name, status, failures, seconds)
            values
            {%- for result in tests %}
            (
                '{{ invocation_id }}', {{ run_clock() }}, '{{ result.node.name }}',
                '{{ result.status }}',
                {{ result.failures if result.failures is not none else 'null' }},
                {{ result.execution_time }}
            ){{ ',' if not loop.last }}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
