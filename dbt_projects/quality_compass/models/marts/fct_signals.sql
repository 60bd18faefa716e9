{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table([
            'run_id', 'canonical_node_id', 'metric_id', 'group_hash', 'facility_id', 'domain',
            'severity', 'signal_type', 'detected_date',
        ]) }}",
        indexes=[
            {'columns': ['run_id']},
            {'columns': ['facility_id', 'metric_id']},
            {'columns': ['severity']},
        ],
    )
}}

{%- set changed = changed_run_ids() -%}

{%- set label_columns = [
    'simple_zscore_anomaly',
    'robust_zscore_anomaly',
    'latest_simple_zscore_anomaly',
    'mean_simple_zscore_anomaly',
    'latest_robust_zscore_anomaly',
    'mean_robust_zscore_anomaly',
    'slope_anomaly',
] %}

with runs as (

    select * from {{ ref('stg_runs') }}

),

entities as (

    select * from {{ ref('stg_entity_results') }}
    where {{ in_changed_runs('run_id', changed) }}

),

classifications as (

    select * from {{ ref('stg_classifications') }}
    where {{ in_changed_runs('run_id', changed) }}

),

aggregates as (

    select * from {{ ref('int_statistical_methods_agg') }}
    where {{ in_changed_runs('run_id', changed) }}

),

temporal as (

    select * from {{ ref('int_temporal_entity_stats') }}
    where {{ in_changed_runs('run_id', changed) }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

-- Mean and deviation of one method, the simple z-score where it states a mean.
benchmarks as (

    select distinct on (run_id, canonical_node_id, facet_hash)
        run_id,
        canonical_node_id,
        facet_hash,
        global_metric_mean,
        global_metric_std
    from {{ ref('stg_global_statistics') }}
    where {{ in_changed_runs('run_id', changed) }} and global_metric_mean is not null
    order by
        run_id asc,
        canonical_node_id asc,
        facet_hash asc,
        method = 'simple_zscore' desc,
        statistical_method asc

),

signals as (

    select
        entities.*,
        runs.run_at,
        classifications.signal_type,
        classifications.severity_score,
        classifications.severity_range_min,
        classifications.severity_range_max,
        classifications.classification_reasoning,
        classifications.severity_calculation,
        classifications.inputs as classification_inputs,
        classifications.derived_indicators,
        classifications.period_count,
        classifications.magnitude_tier,
        classifications.trajectory_tier,
        classifications.consistency_tier,
        classifications.coefficient_of_variation,
        aggregates.statistical_methods as aggregate_methods,
        aggregates.primary_simple_zscore as simple_zscore,
        aggregates.primary_robust_zscore as robust_zscore,
        aggregates.primary_percentile_rank as percentile_rank,
        aggregates.primary_peer_std as peer_std,
        aggregates.primary_peer_count as peer_count,
        coalesce(benchmarks.global_metric_mean, aggregates.primary_peer_mean) as benchmark_value,
        benchmarks.global_metric_mean,
        benchmarks.global_metric_std,
        temporal.metadata_per_period as temporal_metadata_per_period,
        temporal.temporal_node_id,
        temporal.temporal_statistical_methods,
        temporal.metric_trend_timeline as temporal_timeline,
        temporal.monthly_z_scores,
        temporal.peer_percentile_trends,
        coalesce(temporal.mean_simple_zscore, aggregates.primary_mean_simple_zscore)
            as mean_simple_zscore,
        coalesce(temporal.latest_simple_zscore, aggregates.primary_latest_simple_zscore)
            as latest_simple_zscore,
        coalesce(temporal.mean_robust_zscore, aggregates.primary_mean_robust_zscore)
            as mean_robust_zscore,
        coalesce(temporal.latest_robust_zscore, aggregates.primary_latest_robust_zscore)
            as latest_robust_zscore,
        coalesce(temporal.slope, aggregates.primary_slope) as slope,
        coalesce(temporal.slope_percentile, aggregates.primary_slope_percentile)
            as slope_percentile,
        coalesce(temporal.acceleration, aggregates.primary_acceleration) as acceleration,
        coalesce(temporal.trend_direction, aggregates.primary_trend_direction) as trend_direction,
        coalesce(temporal.momentum, aggregates.primary_momentum) as momentum,
        aggregates.simple_zscore_anomaly,
        aggregates.robust_zscore_anomaly,
        {%- for label in label_columns[2:] %}
        coalesce(temporal.{{ label }}, aggregates.{{ label }}) as {{ label }},
        {%- endfor %}
        metrics.metric_name,
        metrics.domain,
        metrics.direction_preference
    from entities
    inner join runs on entities.run_id = runs.run_id
    inner join classifications
        on
            entities.run_id = classifications.run_id
            and entities.canonical_node_id = classifications.canonical_node_id
            and entities.metric_id = classifications.metric_id
            and entities.entity_hash = classifications.entity_hash
    inner join metrics on entities.metric_id = metrics.metric_id
    left join aggregates on entities.entity_result_id = aggregates.entity_result_id
    left join temporal on entities.entity_result_id = temporal.entity_result_id
    left join benchmarks
        on
            entities.run_id = benchmarks.run_id
            and entities.canonical_node_id = benchmarks.canonical_node_id
            and entities.facet_hash = benchmarks.facet_hash
    where not coalesce(aggregates.any_suppressed, false)

),

judged as (

    select
        signals.*,
        worst.label as anomaly_classification
    from signals
    left join lateral (
        -- Of two labels equally far out the unfavourable one is the worse.
        select candidate.label
        from (
            values
            {%- for label in label_columns %}
            (signals.{{ label }}){{ ',' if not loop.last }}
            {%- endfor %}
        ) as candidate (label)
        where {{ anomaly_rank('candidate.label') }} is not null
        order by
            {{ anomaly_rank('candidate.label') }} desc,
            coalesce(
                {{ is_anomaly_favorable('candidate.label', 'signals.direction_preference') }}, false
            ),
            candidate.label
        limit 1
    ) as worst on true

),

final as (

    select
        {{ surrogate_key(['run_id', 'canonical_node_id', 'entity_result_id']) }} as signal_id,
        run_id,
        run_version,
        canonical_node_id,
        temporal_node_id,
        system_name,
        facility_id,
        service_line,
        sub_service_line,
        metric_id,
        metric_value,
        benchmark_value,
        {{ rounded(
            shared.safe_divide('metric_value - benchmark_value', 'benchmark_value') ~ ' * 100', 2
        ) }}
            as variance_percent,
        coalesce(aggregate_methods, cast('[]' as jsonb))
        || coalesce(temporal_statistical_methods, cast('[]' as jsonb)) as statistical_methods,
        simple_zscore,
        robust_zscore,
        simple_zscore as z_score,
        latest_simple_zscore,
        mean_simple_zscore,
        latest_robust_zscore,
        mean_robust_zscore,
        percentile_rank,
        peer_std,
        peer_count,
        global_metric_mean,
        global_metric_std,
        encounters,
        metric_name || ' of ' || coalesce(facility_id, 'all facilities')
        || ' ('
        || {{ compute_group_value('entity_keys') }}
        || '): '
        || replace(signal_type, '_', ' ')
            as description,
        domain,
        entity_keys as entity_key,
        entity_hash as group_hash,
        {{ compute_groupby_label('entity_keys') }} as groupby_label,
        {{ compute_group_value('entity_keys') }} as group_value,
        coalesce(temporal_timeline, metric_trend_timeline) as metric_trend_timeline,
        monthly_z_scores,
        slope,
        slope_percentile,
        acceleration,
        trend_direction,
        momentum,
        peer_percentile_trends,
        {%- for label in label_columns %}
        {{ label }},
        {%- endfor %}
        anomaly_classification,
        {{ map_anomaly_to_severity('anomaly_classification') }} as severity,
        {{ is_anomaly_favorable('anomaly_classification', 'direction_preference') }}
            as is_favorable,
        signal_type,
        severity_score,
        severity_range_min,
        severity_range_max,
        classification_reasoning,
        severity_calculation,
        classification_inputs,
        derived_indicators,
        period_count,
        magnitude_tier,
        trajectory_tier,
        consistency_tier,
        coefficient_of_variation,
        {{ foreign_key('facility_id') }} as facility_sk,
        {{ surrogate_key(['metric_id']) }} as metric_sk,
        metadata,
        coalesce(temporal_metadata_per_period, metadata_per_period) as metadata_per_period,
        run_at as detected_at,
        cast(run_at at time zone 'UTC' as date) as detected_date
    from judged

)

select * from final
