{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(['run_id', 'canonical_node_id']) }}",
        indexes=[{'columns': ['run_id', 'canonical_node_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with runs as (

    select * from {{ ref('stg_runs') }}
    where {{ in_changed_runs('run_id', changed) }}

),

newest as (

    select distinct on (raw.run_id, raw.row_key) raw.*
    from {{ source('raw', 'raw_node_results') }} as raw
    where {{ in_changed_runs('raw.run_id', changed) }}
    order by raw.run_id asc, raw.row_key asc, raw.file_path desc, raw.line_number desc

),

final as (

    select
        {{ surrogate_key(['runs.run_id', 'content.canonical_node_id']) }} as node_run_id,
        runs.run_id,
        runs.run_version,
        content.canonical_node_id,
        content.metric_id,
        content.dataset_path,
        content.summary #>> '{entity_scope,display_name}' as entity_scope,
        content.summary #>> '{entity_scope,comparison_group}' as comparison_group,
        coalesce(content.summary #>> '{temporal_context,time_grain}', 'aggregate') as time_grain,
        {{ month_of("content.summary #>> '{temporal_context,start_period}'") }} as start_month,
        {{ month_of("content.summary #>> '{temporal_context,end_period}'") }} as end_month,
        {{ json_integer("content.summary #> '{temporal_context,period_count}'") }} as period_count,
        jsonb_array_length({{ json_array('content.canonical_child_node_ids') }}) as child_count,
        jsonb_array_length({{ json_array('content.canonical_parent_node_ids') }}) as parent_count,
        newest.file_path as entity_results_path,
        {{ json_integer('content.entity_results_count') }} as entity_results_count,
        cast(newest.json_data as jsonb) as raw_json
    from newest
    inner join runs on newest.run_id = runs.run_id
    cross join
        lateral jsonb_to_record(cast(newest.json_data as jsonb)) as content (
            canonical_node_id text,
            metric_id text,
            dataset_path text,
            summary jsonb,
            canonical_child_node_ids jsonb,
            canonical_parent_node_ids jsonb,
            entity_results_count jsonb
        )
    where content.canonical_node_id is not null

)

select * from final
