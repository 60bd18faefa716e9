{{ config(materialized='view') }}

with nodes as (

    select * from {{ ref('stg_nodes') }}

),

facets as (

    select
        nodes.run_id,
        nodes.canonical_node_id,
        nodes.metric_id,
        method.value ->> 'statistical_method' as statistical_method,
        coalesce(facet.value -> 'facet_values', cast('{}' as jsonb)) as facet_values,
        facet.value -> 'facet_counts' as facet_counts,
        facet.value -> 'method_statistics' as method_statistics,
        method.place as method_place,
        facet.place as facet_place
    from nodes
    cross join
        lateral jsonb_array_elements(
            {{ json_array("nodes.raw_json -> 'statistical_methods'") }}
        ) with ordinality as method (value, place)
    cross join
        lateral jsonb_array_elements(
            {{ json_array("method.value #> '{summary,global_statistics,facets}'") }}
        ) with ordinality as facet (value, place)

),

final as (

    select distinct on (
        run_id, canonical_node_id, statistical_method, md5(cast(facet_values as text))
    )
        {{
            surrogate_key(
                ['run_id', 'canonical_node_id', 'statistical_method', 'cast(facet_values as text)']
            )
        }} as global_statistic_id,
        run_id,
        canonical_node_id,
        metric_id,
        statistical_method,
        {{ method_name('statistical_method') }} as method,
        facet_values,
        md5(cast(facet_values as text)) as facet_hash,
        {{ json_number("method_statistics -> 'global_metric_mean'") }} as global_metric_mean,
        {{ json_number("method_statistics -> 'global_metric_std'") }} as global_metric_std,
        {{ json_number("method_statistics -> 'global_metric_median'") }} as global_metric_median,
        {{ json_number("method_statistics -> 'global_mad'") }} as global_mad,
        {{ json_integer("method_statistics -> 'min_peer_count'") }} as min_peer_count,
        {{ json_integer("facet_counts -> 'record_count'") }} as record_count,
        {{ json_integer("facet_counts -> 'entity_count'") }} as entity_count
    from facets
    order by
        run_id asc,
        canonical_node_id asc,
        statistical_method asc,
        md5(cast(facet_values as text)) asc,
        method_place desc,
        facet_place desc

)

select * from final
