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

{% macro refuse_rows_left(condition='true') -%}
    {#- Rows that a delete did not take would stand beside those that are inserted next. Forced row security hides them
        from their owner, too. -#}
do $rows_left$
declare
    is_filtered boolean := row_security_active('{{ this }}');
begin
    if is_filtered then
        alter table {{ this }} no force row level security;
    end if;
    if exists (select from only {{ this }} where {{ condition }}) then
        raise exception 'Rows of {{ this.schema }}.{{ this.identifier }} could not be deleted: a trigger, rule or row '
            'security of others keeps them. Nothing was changed. Let the owner of the table delete its rows, or drop '
            'what keeps them, and build again';
    end if;
    if is_filtered then
        alter table {{ this }} force row level security;
    end if;
end
$rows_left$;
{%- endmacro %}
