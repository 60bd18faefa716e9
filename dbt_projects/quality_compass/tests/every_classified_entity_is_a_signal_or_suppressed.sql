-- Conservation between layers: classifications of known entities = signals + suppressed entities.
with classified as (

    select
        classifications.run_id,
        count(*) as classified,
        count(*) filter (where methods.any_suppressed) as suppressed
    from {{ ref('stg_classifications') }} as classifications
    inner join {{ ref('stg_entity_results') }} as entities
        on
            classifications.run_id = entities.run_id
            and classifications.canonical_node_id = entities.canonical_node_id
            and classifications.metric_id = entities.metric_id
            and classifications.entity_hash = entities.entity_hash
    left join {{ ref('int_statistical_methods_agg') }} as methods
        on entities.entity_result_id = methods.entity_result_id
    group by classifications.run_id

),

signals as (

    select
        run_id,
        count(*) as signals
    from {{ ref('fct_signals') }}
    group by run_id

)

select
    classified.run_id,
    classified.classified,
    classified.suppressed,
    signals.signals
from classified
left join signals on classified.run_id = signals.run_id
where classified.classified - classified.suppressed <> coalesce(signals.signals, 0)
