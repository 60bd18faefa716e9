{% macro is_braked() -%}
    {#- On in the builds of flows (FLOWS_BRAKE=on), for models that store rows and whose rows do not come and go. -#}
    {{ return(
        execute
        and env_var('FLOWS_BRAKE', 'off') == 'on'
        and config.get('materialized') in ['table', 'incremental']
        and config.get('meta', {}).get('is_braked', true)
    ) }}
{%- endmacro %}

{% macro note_published_rows() -%}
    {%- if shared.is_braked() -%}
        {%- set published = load_cached_relation(this) -%}
        {{ adapter.dispatch('note_published_rows', 'shared')(published) }}
    {%- endif -%}
{%- endmacro %}

{% macro postgres__note_published_rows(published) -%}
    {%- if published is not none and published.type == 'table' -%}
        select set_config('flows.published_rows', (select count(*) from only {{ published }})::text, true)
    {%- else -%}
        select set_config('flows.published_rows', '', true)
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__note_published_rows(published) -%}
    set variable published_rows = (
        {%- if published is not none and published.type == 'table' -%}
            select count(*) from {{ published }}
        {%- else -%}
            select null
        {%- endif -%}
    )
{%- endmacro %}

{% macro bigquery__note_published_rows(published) -%}
    {#- No transaction holds a table and its check together: a copy, which is free, is what was published. -#}
    {%- if published is not none and published.type == 'table' -%}
        {%- do adapter.copy_table(published, shared.last_good(this), 'table') -%}
    {%- else -%}
        create or replace table {{ shared.last_good(this) }} as select 1 as nothing_published from unnest([1]) where false
    {%- endif -%}
{%- endmacro %}

{% macro last_good(relation) -%}
    {{ return(relation.incorporate(path={'identifier': relation.identifier ~ '__last_good'})) }}
{%- endmacro %}

{% macro brake(is_last=false) -%}
    {#- Runs in the transaction that writes the model: an error rolls it back, and readers keep what they had. The hook
        of the project leaves a model whose own post-hooks delete rows to those, which end with the brake. -#}
    {%- if shared.is_braked() and (is_last or 'is_last=true' not in post_hooks | map(attribute='sql') | join) -%}
        {%- set before, after = adapter.dispatch('published_and_new_rows', 'shared')() -%}
        {%- set why = shared.why_braked(before, after) if before else none -%}
        {%- if why -%}
            {{ adapter.dispatch('keep_last_good', 'shared')() }}
            {{ exceptions.raise_compiler_error(
                'The brake stopped ' ~ this ~ ': ' ~ why ~ '. Readers keep its last good rows. Find out whether a source '
                ~ 'or a change of code did it; where it is right, run once with -p dbt=\'{"release_brake": true}\''
            ) }}
        {%- endif -%}
        {{ adapter.dispatch('forget_last_good', 'shared')() }}
    {%- endif -%}
{%- endmacro %}

{% macro why_braked(before, after) -%}
    {%- set fall = var('brake_maximum_fall', 0.5) -%}
    {%- set few = var('brake_minimum_rows', 20) -%}
    {%- if after == 0 -%}
        {{ return('no row is left of ' ~ before) }}
    {%- elif before >= few and after < before * (1 - fall) -%}
        {{ return(after ~ ' rows where ' ~ before ~ ' were published, a fall of more than '
            ~ (fall * 100) | round | int ~ ' %') }}
    {%- elif after >= before * 1.2 -%}
        {%- for grain in shared.grains_of_model() -%}
            {%- set doubled = run_query(
                'select count(*) from (select 1 as one from ' ~ this ~ ' where ' ~ grain[0] ~ ' is not null group by '
                ~ grain | join(', ') ~ ' having count(*) > 1) as doubled'
            ).columns[0].values()[0] -%}
            {%- if doubled -%}
                {{ return(after ~ ' rows where ' ~ before ~ ' were published, and ' ~ doubled
                    ~ ' values of its grain (' ~ grain | join(', ') ~ ') are there more than once') }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro grains_of_model() -%}
    {#- The columns that its tests of uniqueness name. -#}
    {%- set grains = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'test' and node.attached_node == model.unique_id -%}
        {%- set name = (node.test_metadata or {}).get('name') -%}
        {%- set arguments = (node.test_metadata or {}).get('kwargs', {}) -%}
        {%- if name == 'unique' -%}
            {%- do grains.append([arguments['column_name']]) -%}
        {%- elif name == 'unique_combination_of_columns' -%}
            {%- do grains.append(arguments['columns']) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(grains) }}
{%- endmacro %}

{% macro postgres__published_and_new_rows() -%}
    {%- set row = run_query(
        "select nullif(current_setting('flows.published_rows', true), '')::bigint, (select count(*) from only "
        ~ this ~ ")"
    ).rows[0] -%}
    {{ return((row[0], row[1])) }}
{%- endmacro %}

{% macro duckdb__published_and_new_rows() -%}
    {%- set row = run_query("select getvariable('published_rows'), (select count(*) from " ~ this ~ ")").rows[0] -%}
    {{ return((row[0], row[1])) }}
{%- endmacro %}

{% macro bigquery__published_and_new_rows() -%}
    {%- set row = run_query(
        'select (select count(*) from ' ~ shared.last_good(this) ~ '), (select count(*) from ' ~ this ~ ')'
    ).rows[0] -%}
    {{ return((row[0], row[1])) }}
{%- endmacro %}

{% macro default__keep_last_good() -%}{%- endmacro %}

{% macro bigquery__keep_last_good() -%}
    {%- do adapter.copy_table(shared.last_good(this), this, 'table') -%}
    {{ shared.bigquery__forget_last_good() }}
{%- endmacro %}

{% macro default__forget_last_good() -%}{%- endmacro %}

{% macro bigquery__forget_last_good() -%}
    {%- do run_query('drop table ' ~ shared.last_good(this)) -%}
{%- endmacro %}
