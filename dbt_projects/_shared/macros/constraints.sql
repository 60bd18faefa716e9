{% macro constraints_that_changed() -%}
    {#- What makes the constraints of a table that is there those of the model's contract: what is to be gone before its
        rows are written, and what is new after. -#}
    {%- set gone, new, checks = [], [], {} -%}
    {%- if config.get('contract').enforced -%}
        {%- set filled = [] -%}
        {%- for column in model['columns'].values() -%}
            {%- for constraint in column.constraints if constraint.type == 'not_null' -%}
                {%- do filled.append(column.name) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- for name, is_filled, condition in run_query(shared.constraints_of(this)).rows -%}
            {%- set change = 'alter table ' ~ this ~ ' alter column ' ~ adapter.quote(name) -%}
            {%- if condition -%}
                {%- do checks.update({condition: name}) -%}
            {%- elif is_filled and name not in filled -%}
                {%- do gone.append(change ~ ' drop not null;') -%}
            {%- elif name in filled and not is_filled -%}
                {%- do new.append(change ~ ' set not null;') -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do shared.add_changed_checks(checks, gone, new) -%}
    {%- endif -%}
    {{ return({'gone': gone, 'new': new}) }}
{%- endmacro %}

{% macro constraints_of(relation) -%}
    {#- Columns outside of the primary key with whether they are always filled, then checks with their condition. -#}
    select attname, attnotnull, null as condition
    from pg_attribute
    left join pg_index on pg_attribute.attrelid = pg_index.indrelid and pg_index.indisprimary
    where
        pg_attribute.attrelid = to_regclass('{{ relation }}')
        and pg_attribute.attnum > 0
        and not pg_attribute.attisdropped
        and coalesce(pg_attribute.attnum <> all (pg_index.indkey), true)
    union all
    select conname, null, pg_get_constraintdef(oid)
    from pg_constraint
    where contype = 'c' and conrelid = to_regclass('{{ relation }}')
{%- endmacro %}

{% macro add_changed_checks(checks, gone, new) -%}
    {#- PostgreSQL writes conditions in its own words: those of the contract are asked of an empty table that has them. -#}
    {%- set names, wanted, dropped = [], {}, [] -%}
    {%- for part in [model] + model['columns'].values() | list -%}
        {%- for constraint in part.constraints if constraint.type == 'check' -%}
            {%- do names.append(constraint.name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if names -%}
        {%- do run_query('create temporary table contracted ' ~ get_table_columns_and_constraints()) -%}
        {%- for name, is_filled, condition in run_query(shared.constraints_of('pg_temp.contracted')).rows if condition -%}
            {%- do wanted.update({condition: name}) -%}
        {%- endfor -%}
        {%- do run_query('drop table pg_temp.contracted') -%}
    {%- endif -%}
    {%- for condition, name in checks.items() if condition not in wanted -%}
        {%- do gone.append('alter table ' ~ this ~ ' drop constraint ' ~ adapter.quote(name) ~ ';') -%}
        {%- do dropped.append(name ~ ' ' ~ condition) -%}
    {%- endfor -%}
    {%- for condition, name in wanted.items() if condition not in checks -%}
        {%- set named = 'constraint ' ~ adapter.quote(name) ~ ' ' if name in names else '' -%}
        {%- do new.append('alter table ' ~ this ~ ' add ' ~ named ~ condition ~ ';') -%}
    {%- endfor -%}
    {%- if dropped -%}
        {%- do exceptions.warn('The contract of ' ~ this ~ ' has no such check, which is dropped: ' ~ dropped | join(', ')) -%}
    {%- endif -%}
{%- endmacro %}
