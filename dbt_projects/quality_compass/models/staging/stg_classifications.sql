{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(
            ['run_id', 'canonical_node_id', 'metric_id', 'entity_hash']
        ) }}",
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with runs as (

    select * from {{ ref('stg_runs') }}
    where {{ in_changed_runs('run_id', changed) }}

),

newest as (

    select distinct on (raw.run_id, raw.row_key) raw.*
    from {{ source('raw', 'raw_classifications') }} as raw
    where {{ in_changed_runs('raw.run_id', changed) }}
    order by raw.run_id asc, raw.row_key asc, raw.file_path desc, raw.line_number desc

),

final as (

    select
        {{ surrogate_key(['runs.run_id', 'newest.row_key']) }} as classification_id,
        runs.run_id,
        runs.run_version,
        content.node_id as canonical_node_id,
        content.metric_id,
        content.entity_key ->> 'medicareId' as facility_id,
        content.entity_key,
        md5(cast({{ entity_identity('content.entity_key') }} as text)) as entity_hash,
        md5(cast(content.entity_key - array['medicareId', 'systemName'] as text))
            as entity_key_hash,
        content.signal_type,
        {{ json_integer('content.severity') }} as severity_score,
        {{ json_integer('content.severity_range -> 0') }} as severity_range_min,
        {{ json_integer('content.severity_range -> 1') }} as severity_range_max,
        content.classification_reasoning,
        content.severity_calculation,
        content.inputs,
        content.derived_indicators,
        {%- for name in [
            'aggregate_zscore', 'slope_percentile', 'acceleration', 'zscore_std', 'max_abs_deviation'
        ] %}
        {{ json_number("content.inputs -> '" ~ name ~ "'") }} as {{ name }},
        {%- endfor %}
        {{ json_integer('content.period_count') }} as period_count,
        content.magnitude_tier,
        content.trajectory_tier,
        content.consistency_tier,
        {{ json_number('content.coefficient_of_variation') }} as coefficient_of_variation
    from newest
    inner join runs on newest.run_id = runs.run_id
    cross join
        lateral jsonb_to_record(cast(newest.json_data as jsonb)) as content (
            node_id text,
            metric_id text,
            entity_key jsonb,
            signal_type text,
            severity jsonb,
            severity_range jsonb,
            inputs jsonb,
            derived_indicators jsonb,
            classification_reasoning text,
            severity_calculation jsonb,
            suppressed jsonb,
            period_count jsonb,
            magnitude_tier text,
            trajectory_tier text,
            consistency_tier text,
            coefficient_of_variation jsonb
        )
    where not {{ is_suppressed('content.suppressed') }}

)

select * from final
