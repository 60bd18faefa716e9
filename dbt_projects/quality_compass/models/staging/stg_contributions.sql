{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(['run_id', 'metric_id', 'parent_node_id']) }}",
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
    from {{ source('raw', 'raw_contributions') }} as raw
    where {{ in_changed_runs('raw.run_id', changed) }}
    order by raw.run_id asc, raw.row_key asc, raw.file_path desc, raw.line_number desc

),

contributions as (

    select
        {{ surrogate_key(['runs.run_id', 'newest.row_key']) }} as contribution_id,
        runs.run_id,
        runs.run_version,
        runs.time_zone,
        content.parent_node_id,
        content.child_node_id,
        content.parent_entity,
        content.child_entity,
        content.metric_id,
        content.method,
        content.weight_field,
        {%- for name in [
            'child_value',
            'parent_value',
            'weight_value',
            'weight_share',
            'weighted_child_value',
            'contribution_value',
            'raw_component',
            'excess_over_parent',
        ] %}
        {{ json_number('content.' ~ name) }} as {{ name }},
        {%- endfor %}
        jsonb_array_length({{ json_array('content.missing_inputs') }}) as missing_input_count,
        content.recorded_at
    from newest
    inner join runs on newest.run_id = runs.run_id
    cross join lateral jsonb_to_record(
        cast(newest.json_data as jsonb)
        || jsonb_build_object('recorded_at', cast(newest.json_data as jsonb) ->> 'timestamp')
    ) as content (
        parent_node_id text,
        child_node_id text,
        parent_entity jsonb,
        child_entity jsonb,
        metric_id text,
        method text,
        weight_field text,
        child_value jsonb,
        parent_value jsonb,
        weight_value jsonb,
        weight_share jsonb,
        weighted_child_value jsonb,
        contribution_value jsonb,
        raw_component jsonb,
        excess_over_parent jsonb,
        missing_inputs jsonb,
        recorded_at text
    )

),

final as (

    select
        contribution_id,
        run_id,
        run_version,
        parent_node_id,
        child_node_id,
        metric_id,
        parent_entity ->> 'medicareId' as parent_facility_id,
        parent_entity ->> 'vizientServiceLine' as parent_service_line,
        md5(cast({{ entity_identity('parent_entity') }} as text)) as parent_entity_hash,
        child_entity ->> 'medicareId' as child_facility_id,
        child_entity ->> 'vizientServiceLine' as child_service_line,
        child_entity ->> 'vizientSubServiceLine' as child_sub_service_line,
        child_entity ->> 'admissionSource' as child_admission_source,
        child_entity ->> 'dischargeStatus' as child_discharge_status,
        coalesce(child_entity ->> 'payerSegment', child_entity ->> 'primaryPayer') as child_payer,
        child_entity ->> 'admissionStatus' as child_admission_status,
        parent_entity,
        child_entity,
        method,
        weight_field,
        child_value,
        parent_value,
        weight_value,
        {{ between_limits('weight_share', 0, 1) }} as weight_share,
        weighted_child_value,
        contribution_value,
        raw_component,
        excess_over_parent,
        abs(excess_over_parent) * {{ between_limits('weight_share', 0, 1) }}
            as contribution_weight,
        case
            when excess_over_parent > 0 then 'positive'
            when excess_over_parent < 0 then 'negative'
            when excess_over_parent = 0 then 'neutral'
        end as contribution_direction,
        missing_input_count,
        {{ instant_of('recorded_at', 'time_zone') }} as recorded_at
    from contributions

)

select * from final
