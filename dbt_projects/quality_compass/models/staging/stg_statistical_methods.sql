{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(
            ['run_id', 'entity_result_id', 'statistical_method_id', 'method']
        ) }}",
        indexes=[{'columns': ['run_id']}, {'columns': ['entity_result_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with entities as (

    select * from {{ ref('stg_entity_results') }}
    where {{ in_changed_runs('run_id', changed) }}

),

methods as (

    select distinct on (entities.entity_result_id, method.value ->> 'statistical_method')
        entities.entity_result_id,
        entities.run_id,
        entities.run_version,
        entities.canonical_node_id,
        method.value ->> 'statistical_method' as statistical_method,
        coalesce(method.value -> 'statistics', cast('{}' as jsonb)) as statistics,
        {{ json_array("method.value -> 'anomalies'") }} as anomalies,
        method.value -> 'runtime' as runtime
    from entities
    cross join lateral jsonb_array_elements(entities.statistical_methods) with ordinality as method
    order by
        entities.entity_result_id asc,
        method.value ->> 'statistical_method' asc,
        method.ordinality desc

),

final as (

    select
        {{ surrogate_key(['entity_result_id', 'statistical_method']) }} as statistical_method_id,
        entity_result_id,
        run_id,
        run_version,
        canonical_node_id,
        statistical_method,
        {{ method_name('statistical_method') }} as method,
        statistical_method not like '%\_\_aggregate\_time\_period' as is_trending,
        {{ is_suppressed("(statistics -> 'suppressed')") }} as is_suppressed,
        {%- for name in [
            'simple_zscore',
            'robust_zscore',
            'mean_simple_zscore',
            'latest_simple_zscore',
            'mean_robust_zscore',
            'latest_robust_zscore',
            'peer_mean',
            'peer_std',
            'peer_median',
            'peer_mad',
            'slope',
            'acceleration',
            'end_start_delta',
        ] %}
        {{ json_number("statistics -> '" ~ name ~ "'") }} as {{ name }},
        {%- endfor %}
        {%- for name in ['percentile_rank', 'slope_percentile'] %}
        {{ between_limits(json_number("statistics -> '" ~ name ~ "'"), 0, 100) }} as {{ name }},
        {%- endfor %}
        statistics ->> 'trend_direction' as trend_direction,
        statistics ->> 'momentum' as momentum,
        coalesce(
            {{ json_integer("statistics -> 'period_count'") }},
            {{ json_integer("statistics -> 'periods'") }}
        ) as period_count,
        {{ month_of("statistics ->> 'latest_period'") }} as latest_month,
        coalesce(
            statistics -> 'per_period_simple_zscores',
            statistics -> 'per_period_robust_zscores'
        ) as monthly_z_scores,
        {{ json_integer("runtime #> '{anomaly_statistics,peer_count}'") }} as peer_count,
        runtime ->> 'status' as runtime_status,
        coalesce({{ json_boolean("runtime #> '{summary,has_issues}'") }}, false) as has_issues,
        anomalies
    from methods

)

select * from final
