{{ config(materialized='view') }}

with nodes as (

    select * from {{ ref('stg_nodes') }}

),

edges as (

    select
        nodes.run_id,
        nodes.canonical_node_id,
        'child' as direction,
        edge.value ->> 'canonical_child_node_id' as related_node_id,
        edge.value ->> 'edge_type' as edge_type
    from nodes
    cross join
        lateral jsonb_array_elements(
            {{ json_array("nodes.raw_json -> 'canonical_child_node_ids'") }}
        ) as edge

    union all

    select
        nodes.run_id,
        nodes.canonical_node_id,
        'parent' as direction,
        edge.value ->> 'canonical_parent_node_id' as related_node_id,
        edge.value ->> 'edge_type' as edge_type
    from nodes
    cross join
        lateral jsonb_array_elements(
            {{ json_array("nodes.raw_json -> 'canonical_parent_node_ids'") }}
        ) as edge

),

final as (

    select distinct on (run_id, canonical_node_id, related_node_id, direction)
        {{ surrogate_key(['canonical_node_id', 'related_node_id', 'direction', 'run_id']) }}
            as edge_id,
        run_id,
        canonical_node_id,
        related_node_id,
        direction,
        edge_type
    from edges
    where related_node_id is not null
    order by
        run_id asc,
        canonical_node_id asc,
        related_node_id asc,
        direction asc,
        edge_type asc

)

select * from final
