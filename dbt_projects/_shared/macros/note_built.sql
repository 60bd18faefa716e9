{% macro note_built() -%}
    {#- Runs in the transaction that writes the model: what is remembered of a model is true of its rows. A build that
        told nothing of its intent, such as one typed by hand, leaves no key: the next flow builds the model again. -#}
    {%- if execute and target.type in ('postgres', 'duckdb') -%}
        {#- As `shared.memory_of_builds`, which a project without this package does not have. -#}
        {%- set memory = adapter.get_relation(
            target.database, var('built_nodes_schema', none) or target.schema, 'built_nodes'
        ) -%}
        {%- if memory -%}
            update {{ memory }}
            set
                key = case when intended_build = '{{ invocation_id }}' then intended_key end,
                build = '{{ invocation_id }}',
                {% if env_var('FLOWS_BRAKE', 'off') != 'on' -%}
                    {#- Whoever released the brake said that this size is right, and nobody counted. -#}
                    most_rows = null,
                    row_count = null,
                {% endif -%}
                built_at = '{{ run_started_at.strftime("%Y-%m-%d %H:%M UTC") }}'
            where node = '{{ model.unique_id }}'
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
