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
        {%- set keys = shared.required_keys_of_model() -%}
        {%- set before, after, keyless = adapter.dispatch('published_and_new_rows', 'shared')(
            (keys or ['1']) | join(' is null or ') ~ ' is null'
        ) -%}
        {%- set memory = shared.memory_of_builds() -%}
        {%- set most = shared.most_rows_lately(memory) if memory and before else none -%}
        {%- set why = (
            shared.why_braked(before, after) or shared.why_keys_braked(after, keyless, keys)
            or shared.why_slide_braked(most, after)
        ) if before else none -%}
        {%- if why -%}
            {{ adapter.dispatch('keep_last_good', 'shared')() }}
            {{ exceptions.raise_compiler_error(
                'The brake stopped ' ~ this ~ ': ' ~ why ~ '. Readers keep its last good rows. Find out whether a source '
                ~ 'or a change of code did it; where it is right, run once with -p dbt=\'{"release_brake": true}\''
            ) }}
        {%- endif -%}
        {{ adapter.dispatch('forget_last_good', 'shared')() }}
        {#- What this build replaces was published until now, and counts from today. -#}
        {%- set most_now = [before or 0, after] | max -%}
        {%- if memory -%}
            {%- set of_most = (
                ', most_rows = ' ~ most_now ~ ", most_on = '" ~ shared.day_of_build(0) ~ "'"
            ) if before and (most is none or most_now >= most) else '' -%}
            {%- do run_query(
                'update ' ~ memory ~ ' set row_count = ' ~ after ~ of_most ~ " where node = '" ~ model.unique_id ~ "'"
            ) -%}
        {%- endif -%}
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

{% macro why_keys_braked(after, keyless, keys) -%}
    {#- Rows that stay as many and say nothing: without a key, or one and the same again and again. Of a large table the
        second is asked of some rows, as a test asks all of them once they are published. -#}
    {%- set fall = var('brake_maximum_fall', 0.5) -%}
    {%- set few = var('brake_minimum_rows', 20) -%}
    {%- if after >= few and keyless > after * fall -%}
        {{ return(keyless ~ ' of its ' ~ after ~ ' rows have no ' ~ keys | join(' or no ')) }}
    {%- elif after >= few and target.type != 'bigquery' -%}
        {%- for grain in shared.grains_of_model() -%}
            {%- set columns = grain | join(', ') -%}
            {%- set seen, different = run_query(
                'with some_rows as (select ' ~ columns ~ ' from ' ~ this ~ ' where ' ~ grain[0]
                ~ ' is not null limit 10000) select (select count(*) from some_rows), '
                ~ '(select count(*) from (select distinct ' ~ columns ~ ' from some_rows) as kinds)'
            ).rows[0] -%}
            {%- if different < seen * (1 - fall) -%}
                {{ return(seen ~ ' of its rows have only ' ~ different ~ ' values of its grain (' ~ columns ~ ')') }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro why_slide_braked(most, after) -%}
    {#- Falls that each pass are one fall to whoever remembers what was published before them. -#}
    {%- set fall = var('brake_maximum_fall', 0.5) -%}
    {%- if most is not none and most >= var('brake_minimum_rows', 20) and after < most * (1 - fall) -%}
        {{ return(after ~ ' rows where ' ~ most ~ ' were published within ' ~ var('brake_memory_days', 28)
            ~ ' days, a fall of more than ' ~ (fall * 100) | round | int ~ ' %') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro memory_of_builds() -%}
    {#- The table in which builds remember their nodes, which BigQuery has none of. -#}
    {%- if target.type in ('postgres', 'duckdb') -%}
        {{ return(adapter.get_relation(
            target.database, var('built_nodes_schema', none) or target.schema, 'built_nodes'
        )) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{% macro most_rows_lately(memory) -%}
    {%- set row = run_query(
        'select max(most_rows) from ' ~ memory ~ " where node = '" ~ model.unique_id ~ "' and most_on >= '"
        ~ shared.day_of_build(var('brake_memory_days', 28)) ~ "'"
    ).rows[0] -%}
    {{ return(row[0]) }}
{%- endmacro %}

{% macro day_of_build(days_before) -%}
    {{ return((run_started_at - modules.datetime.timedelta(days=days_before)).strftime('%Y-%m-%d')) }}
{%- endmacro %}

{% macro required_keys_of_model() -%}
    {#- The columns of its grains of which a test says that they are never empty. -#}
    {%- set required = [] -%}
    {%- for test in shared.rules_of_model() if test.test_metadata['name'] == 'not_null' -%}
        {%- do required.append(test.test_metadata['kwargs']['column_name']) -%}
    {%- endfor -%}
    {%- set keys = [] -%}
    {%- for column in shared.grains_of_model() | sum(start=[]) if column in required and column not in keys -%}
        {%- do keys.append(column) -%}
    {%- endfor -%}
    {{ return(keys) }}
{%- endmacro %}

{% macro grains_of_model() -%}
    {#- The columns that its tests of uniqueness name. -#}
    {%- set grains = [] -%}
    {%- for test in shared.rules_of_model() -%}
        {%- set arguments = test.test_metadata['kwargs'] -%}
        {%- if test.test_metadata['name'] == 'unique' -%}
            {%- do grains.append([arguments['column_name']]) -%}
        {%- elif test.test_metadata['name'] == 'unique_combination_of_columns' -%}
            {%- do grains.append(arguments['columns']) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(grains) }}
{%- endmacro %}

{% macro rules_of_model() -%}
    {#- Its generic tests that ask all of its rows, and fail: what a test only warns of may be as it is. -#}
    {%- set rules = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'test' and node.attached_node == model.unique_id -%}
        {%- if node.test_metadata and not node.config.where and node.config.severity | lower == 'error' -%}
            {%- do rules.append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(rules) }}
{%- endmacro %}

{% macro postgres__published_and_new_rows(is_keyless) -%}
    {%- set row = run_query(
        "select nullif(current_setting('flows.published_rows', true), '')::bigint, count(*), count(*) filter (where "
        ~ is_keyless ~ ') from only ' ~ this
    ).rows[0] -%}
    {{ return((row[0], row[1], row[2])) }}
{%- endmacro %}

{% macro duckdb__published_and_new_rows(is_keyless) -%}
    {%- set row = run_query(
        "select getvariable('published_rows'), count(*), count(*) filter (where " ~ is_keyless ~ ') from ' ~ this
    ).rows[0] -%}
    {{ return((row[0], row[1], row[2])) }}
{%- endmacro %}

{% macro bigquery__published_and_new_rows(is_keyless) -%}
    {%- set row = run_query(
        'select (select count(*) from ' ~ shared.last_good(this) ~ '), count(*), countif(' ~ is_keyless ~ ') from '
        ~ this
    ).rows[0] -%}
    {{ return((row[0], row[1], row[2])) }}
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
