{{ config(alias='fct_signals') }}

with signals as (

    select * from {{ ref('fct_signals') }}

),

contents as (

    select * from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        signals.signal_id,
        signals.run_id,
        signals.canonical_node_id,
        signals.temporal_node_id,
        signals.system_name,
        signals.facility_id,
        signals.service_line,
        signals.sub_service_line,
        signals.metric_id,
        {{ as_decimal('signals.metric_value') }} as metric_value,
        {{ as_decimal('signals.benchmark_value') }} as benchmark_value,
        {{ as_decimal('signals.variance_percent') }} as variance_percent,
        signals.statistical_methods,
        {{ as_decimal('signals.simple_zscore') }} as simple_zscore,
        {{ as_decimal('signals.robust_zscore') }} as robust_zscore,
        {{ as_decimal('signals.latest_simple_zscore') }} as latest_simple_zscore,
        {{ as_decimal('signals.mean_simple_zscore') }} as mean_simple_zscore,
        {{ as_decimal('signals.latest_robust_zscore') }} as latest_robust_zscore,
        {{ as_decimal('signals.mean_robust_zscore') }} as mean_robust_zscore,
        {{ as_decimal('signals.percentile_rank') }} as percentile_rank,
        {{ as_decimal('signals.peer_std') }} as peer_std,
        signals.peer_count,
        signals.encounters,
        {{ as_decimal('signals.global_metric_mean') }} as global_metric_mean,
        {{ as_decimal('signals.global_metric_std') }} as global_metric_std,
        signals.signal_type || ' (severity: ' || signals.severity_score || ')' as description,
        signals.domain,
        signals.facility_sk,
        signals.metric_sk,
        signals.entity_key - array['medicareId', 'systemName'] as entity_dimensions,
        md5(cast(signals.entity_key - array['medicareId', 'systemName'] as text))
            as entity_dimensions_hash,
        signals.groupby_label,
        signals.group_value,
        signals.metric_trend_timeline,
        signals.monthly_z_scores,
        {{ as_decimal('signals.slope') }} as slope,
        {{ as_decimal('signals.slope_percentile') }} as slope_percentile,
        {{ as_decimal('signals.acceleration') }} as acceleration,
        signals.trend_direction,
        signals.momentum,
        signals.peer_percentile_trends,
        signals.simple_zscore_anomaly,
        signals.robust_zscore_anomaly,
        signals.latest_simple_zscore_anomaly,
        signals.mean_simple_zscore_anomaly,
        signals.latest_robust_zscore_anomaly,
        signals.mean_robust_zscore_anomaly,
        signals.slope_anomaly,
        signals.signal_type as simplified_signal_type,
        signals.severity_score as simplified_severity,
        jsonb_build_array(signals.severity_range_min, signals.severity_range_max)
            as simplified_severity_range,
        signals.classification_inputs as simplified_inputs,
        signals.derived_indicators as simplified_indicators,
        signals.classification_reasoning as simplified_reasoning,
        signals.severity_calculation as simplified_severity_calculation,
        signals.magnitude_tier,
        signals.trajectory_tier,
        signals.consistency_tier,
        round({{ as_decimal('signals.coefficient_of_variation') }}, 4) as coefficient_of_variation,
        signals.metadata,
        signals.metadata_per_period,
        signals.detected_at,
        contents.changed_at as dbt_updated_at
    from signals
    left join contents on signals.run_id = contents.run_id
    where signals.run_id = {{ newest_run_of(ref('fct_signals')) }}
)

select * from final
