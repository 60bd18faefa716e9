{{ config(severity='warn') }}

-- A classification of an entity that no node has a result of gives no signal.
select
    classifications.run_id,
    classifications.canonical_node_id,
    classifications.metric_id,
    classifications.entity_key
from {{ ref('stg_classifications') }} as classifications
left join {{ ref('stg_entity_results') }} as entities
    on
        classifications.run_id = entities.run_id
        and classifications.canonical_node_id = entities.canonical_node_id
        and classifications.metric_id = entities.metric_id
        and classifications.entity_hash = entities.entity_hash
where entities.entity_result_id is null
