{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(['run_id', 'statistical_method_id']) }}",
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

{#- The column of each label, and what the anomaly applies to. -#}
{%- set labels = {
    'simple_zscore_anomaly': 'simple_zscore',
    'robust_zscore_anomaly': 'robust_zscore',
    'latest_simple_zscore_anomaly': 'latest_simple_zscore',
    'mean_simple_zscore_anomaly': 'mean_simple_zscore',
    'latest_robust_zscore_anomaly': 'latest_robust_zscore',
    'mean_robust_zscore_anomaly': 'mean_robust_zscore',
    'slope_anomaly': 'slope_percentile',
} %}

with anomalies as (

    select * from {{ ref('stg_anomalies') }}
    where {{ in_changed_runs('run_id', changed) }}

),

final as (

    select
        statistical_method_id,
        run_id,
        {%- for label, applies_to in labels.items() %}
        {{ worst_label('anomaly', "applies_to = '" ~ applies_to ~ "'") }} as {{ label }},
        {%- endfor %}
        run_version
    from anomalies
    group by statistical_method_id, run_id, run_version

)

select * from final
