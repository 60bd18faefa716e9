{% macro views_of_failures() -%}
    {#-
        `select * from test_failures.<model>` for every model: the rows at which its tests failed last, each with the name
        of the test.
    -#}
    {%- if execute -%}
        {%- set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') | list -%}
        {%- set schemas = tests | map(attribute='schema') | unique | list -%}
        {%- set there = run_query(
            "select schemaname || '.' || tablename from pg_tables where schemaname in ('" ~ schemas | join("', '") ~ "')"
        ).columns[0].values() if schemas else [] -%}
        {%- for model in graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') -%}
            {%- set failures = [] -%}
            {%- for test in tests if (test.schema ~ '.' ~ test.alias) in there
                and (test.attached_node == model.unique_id or (not test.attached_node and model.unique_id in test.depends_on.nodes)) -%}
                {%- do failures.append(test) -%}
            {%- endfor -%}
            {%- if failures %}
                create or replace view "{{ failures[0].schema }}"."{{ model.name }}" as
                {%- for test in failures %}
                select
                    cast('{{ test.name }}' as text) as test_name,
                    to_jsonb(failure) as failing_row
                from "{{ test.schema }}"."{{ test.alias }}" as failure
                {{- " union all" if not loop.last }}
                {%- endfor %};
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro drop_views_of_failures() -%}
    {#-
        dbt drops a test's table, and with it the views over it, each time it runs the test. Two tests of two threads that
        share two views would wait for each other: the views go before, in one statement.
    -#}
    {%- if execute and flags.WHICH in ('build', 'test') -%}
        {%- set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') -%}
        {%- set schemas = tests | map(attribute='schema') | unique | list -%}
        {%- set there = run_query(
            "select format('%I.%I', schemaname, viewname) from pg_views "
            "where schemaname in ('" ~ schemas | join("', '") ~ "') order by 1"
        ).columns[0].values() if schemas else [] -%}
        {{ "drop view if exists " ~ there | join(", ") if there }}
    {%- endif -%}
{%- endmacro %}
