{{ config(materialized='table') }}

with newest as (

    select distinct on (run_id, row_key) *
    from {{ source('raw', 'raw_node_results') }}
    order by run_id asc, row_key asc, file_path desc, line_number desc

),

final as (

    select
        {{ surrogate_key(['newest.run_id', 'content.canonical_node_id']) }} as node_run_id,
        newest.run_id,
        content.canonical_node_id,
        content.metric_id,
        content.dataset_path,
        content.summary #>> '{entity_scope,display_name}' as entity_scope,
        content.summary #>> '{entity_scope,comparison_group}' as comparison_group,
        coalesce(content.summary #>> '{temporal_context,time_grain}', 'aggregate') as time_grain,
        {{ month_of("content.summary #>> '{temporal_context,start_period}'") }} as start_month,
        {{ month_of("content.summary #>> '{temporal_context,end_period}'") }} as end_month,
        cast(
            {{ json_number("content.summary #> '{temporal_context,period_count}'") }} as integer
        ) as period_count,
        jsonb_array_length({{ json_array('content.canonical_child_node_ids') }}) as child_count,
        jsonb_array_length({{ json_array('content.canonical_parent_node_ids') }}) as parent_count,
        newest.file_path as entity_results_path,
        cast({{ json_number('content.entity_results_count') }} as integer) as entity_results_count,
        cast(newest.json_data as jsonb) as raw_json
    from newest
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
