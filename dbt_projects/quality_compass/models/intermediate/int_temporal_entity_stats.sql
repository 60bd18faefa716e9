{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(['run_id', 'entity_result_id']) }}",
        indexes=[{'columns': ['run_id']}, {'columns': ['entity_result_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with temporal_nodes as (

    -- One temporal node per aggregate node: a second trend edge must not double its signals.
    select
        run_id,
        canonical_node_id,
        min(related_node_id) as temporal_node_id
    from {{ ref('stg_node_edges') }}
    where
        direction = 'child' and edge_type = 'trends_to'
        and {{ in_changed_runs('run_id', changed) }}
    group by run_id, canonical_node_id

),

entities as (

    select * from {{ ref('stg_entity_results') }}
    where {{ in_changed_runs('run_id', changed) }}

),

methods as (

    select * from {{ ref('int_statistical_methods_agg') }}
    where {{ in_changed_runs('run_id', changed) }}

),

-- Materialized: where one entity is expected, it would be unnested again for each of thousands.
trends as materialized (

    select
        run_id,
        canonical_node_id,
        jsonb_agg(
            jsonb_build_object(
                'period', to_char(period_month, 'YYYY-MM'),
                'p10', p10, 'p25', p25, 'p50', p50, 'p75', p75, 'p90', p90,
                'sample_size', sample_size
            ) order by period_month
        ) as peer_percentile_trends
    from {{ ref('stg_percentile_trends') }}
    where {{ in_changed_runs('run_id', changed) }}
    group by run_id, canonical_node_id

),

final as (

    select
        aggregates.entity_result_id,
        aggregates.run_id,
        aggregates.run_version,
        temporal.entity_result_id as temporal_entity_result_id,
        temporal.canonical_node_id as temporal_node_id,
        temporal.metric_value as latest_metric_value,
        temporal.latest_month,
        temporal.observed_periods,
        temporal.metric_trend_timeline,
        temporal.encounters as temporal_encounters,
        temporal.metadata_per_period,
        methods.statistical_methods as temporal_statistical_methods,
        methods.any_suppressed,
        methods.primary_mean_simple_zscore as mean_simple_zscore,
        methods.primary_latest_simple_zscore as latest_simple_zscore,
        methods.primary_mean_robust_zscore as mean_robust_zscore,
        methods.primary_latest_robust_zscore as latest_robust_zscore,
        methods.primary_percentile_rank as percentile_rank,
        methods.primary_slope as slope,
        methods.primary_slope_percentile as slope_percentile,
        methods.primary_acceleration as acceleration,
        methods.primary_end_start_delta as end_start_delta,
        methods.primary_trend_direction as trend_direction,
        methods.primary_momentum as momentum,
        methods.primary_monthly_z_scores as monthly_z_scores,
        methods.latest_simple_zscore_anomaly,
        methods.mean_simple_zscore_anomaly,
        methods.latest_robust_zscore_anomaly,
        methods.mean_robust_zscore_anomaly,
        methods.slope_anomaly,
        trends.peer_percentile_trends
    from entities as aggregates
    inner join temporal_nodes
        on
            aggregates.run_id = temporal_nodes.run_id
            and aggregates.canonical_node_id = temporal_nodes.canonical_node_id
    inner join entities as temporal
        on
            temporal_nodes.run_id = temporal.run_id
            and temporal_nodes.temporal_node_id = temporal.canonical_node_id
            and aggregates.metric_id = temporal.metric_id
            and aggregates.entity_hash = temporal.entity_hash
    left join methods on temporal.entity_result_id = methods.entity_result_id
    left join trends
        on
            temporal.run_id = trends.run_id
            and temporal.canonical_node_id = trends.canonical_node_id

)

select * from final
