{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(['run_id', 'entity_result_id']) }}",
        indexes=[{'columns': ['run_id']}, {'columns': ['entity_result_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with methods as (

    -- Of two of one name the aggregate one is the first, the trending one the last.
    select
        *,
        row_number() over same_name as place,
        count(*) over (partition by entity_result_id, method) as places
    from {{ ref('stg_statistical_methods') }}
    where {{ in_changed_runs('run_id', changed) }}
    window
        same_name as (
            partition by entity_result_id, method order by is_trending, statistical_method
        )

),

labels as (

    select * from {{ ref('int_anomaly_labels') }}
    where {{ in_changed_runs('run_id', changed) }}

),

final as (

    select
        methods.entity_result_id,
        methods.run_id,
        methods.run_version,
        jsonb_agg(
            jsonb_strip_nulls(
                jsonb_build_object(
                    'statistical_method', methods.method,
                    'is_trending', methods.is_trending,
                    'suppressed', methods.is_suppressed,
                    'simple_zscore', methods.simple_zscore,
                    'robust_zscore', methods.robust_zscore,
                    'mean_zscore', coalesce(methods.mean_simple_zscore, methods.mean_robust_zscore),
                    'latest_zscore',
                    coalesce(methods.latest_simple_zscore, methods.latest_robust_zscore),
                    'percentile_rank', methods.percentile_rank,
                    'slope', methods.slope,
                    'slope_percentile', methods.slope_percentile
                )
            ) order by methods.statistical_method
        ) as statistical_methods,
        count(*) as method_count,
        bool_or(methods.is_suppressed) as any_suppressed,
        bool_or(methods.has_issues) as any_issues,
        {%- for name, method, place in [
            ('simple_zscore', 'simple_zscore', '1'),
            ('percentile_rank', 'simple_zscore', '1'),
            ('peer_mean', 'simple_zscore', '1'),
            ('peer_std', 'simple_zscore', '1'),
            ('peer_count', 'simple_zscore', '1'),
            ('robust_zscore', 'robust_zscore', '1'),
            ('mean_simple_zscore', 'simple_zscore', 'methods.places'),
            ('latest_simple_zscore', 'simple_zscore', 'methods.places'),
            ('mean_robust_zscore', 'robust_zscore', 'methods.places'),
            ('latest_robust_zscore', 'robust_zscore', 'methods.places'),
            ('slope', 'slope_percentile', 'methods.places'),
            ('slope_percentile', 'slope_percentile', 'methods.places'),
            ('acceleration', 'slope_percentile', 'methods.places'),
            ('end_start_delta', 'slope_percentile', 'methods.places'),
            ('trend_direction', 'slope_percentile', 'methods.places'),
            ('momentum', 'slope_percentile', 'methods.places'),
        ] %}
        max(methods.{{ name }}) filter (
            where methods.method = '{{ method }}' and methods.place = {{ place }}
        ) as primary_{{ name }},
        {%- endfor %}
        cast(
            max(cast(methods.monthly_z_scores as text)) filter (
                where methods.method = 'simple_zscore' and methods.place = methods.places
            ) as jsonb
        ) as primary_monthly_z_scores,
        {%- for label in [
            'simple_zscore_anomaly',
            'robust_zscore_anomaly',
            'latest_simple_zscore_anomaly',
            'mean_simple_zscore_anomaly',
            'latest_robust_zscore_anomaly',
            'mean_robust_zscore_anomaly',
            'slope_anomaly',
        ] %}
        {{ worst_label('labels.' ~ label) }} as {{ label }},
        {%- endfor %}
        max(methods.period_count) as primary_period_count
    from methods
    left join labels on methods.statistical_method_id = labels.statistical_method_id
    group by methods.entity_result_id, methods.run_id, methods.run_version

)

select * from final
