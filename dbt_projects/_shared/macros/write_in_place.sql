{% macro write_in_place(statement_sql, type, is_described=false) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {{ shared.identity_for_subscribers() if target.type == 'postgres' }}
        {{ statement_sql }}
    {%- endcall %}
    {%- if is_described -%}
        {%- do persist_docs(this.incorporate(type=type), model) -%}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [this.incorporate(type=type)]}) }}
{%- endmacro %}

{% macro view_anew(sql) -%}
    {#- PostgreSQL takes away options that are not named again. -#}
    {%- set options = run_query(
        "select array_to_string(reloptions, ', ') from pg_class where oid = to_regclass('" ~ this ~ "')"
    ).columns[0].values()[0] -%}
    {{ return('create or replace view ' ~ this ~ (' with (' ~ options ~ ')' if options else '') ~ ' as (' ~ sql ~ ')') }}
{%- endmacro %}
