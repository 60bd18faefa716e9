-- What a run classified from is what its own monthly scores give: the link between two files.
{{ config(severity='warn') }}

with monthly as (

    select
        temporal.entity_result_id,
        entities.run_id,
        entities.canonical_node_id,
        entities.metric_id,
        entities.entity_hash,
        avg({{ json_number("score.value") }}) as mean_score,
        stddev_pop({{ json_number("score.value") }}) as score_std,
        max(abs({{ json_number("score.value") }})) as max_deviation
    from {{ ref('int_temporal_entity_stats') }} as temporal
    inner join {{ ref('stg_entity_results') }} as entities
        on temporal.entity_result_id = entities.entity_result_id
    cross join
        lateral jsonb_array_elements(
            {{ json_array('temporal.monthly_z_scores') }}
        ) as score
    group by
        temporal.entity_result_id,
        entities.run_id,
        entities.canonical_node_id,
        entities.metric_id,
        entities.entity_hash

)

select
    classifications.classification_id,
    classifications.aggregate_zscore,
    monthly.mean_score,
    classifications.zscore_std,
    monthly.score_std,
    classifications.max_abs_deviation,
    monthly.max_deviation
from {{ ref('stg_classifications') }} as classifications
inner join monthly
    on
        classifications.run_id = monthly.run_id
        and classifications.canonical_node_id = monthly.canonical_node_id
        and classifications.metric_id = monthly.metric_id
        and classifications.entity_hash = monthly.entity_hash
where
    abs(classifications.aggregate_zscore - monthly.mean_score) > 1e-9
    or abs(classifications.zscore_std - monthly.score_std) > 1e-9
    or abs(classifications.max_abs_deviation - monthly.max_deviation) > 1e-9
