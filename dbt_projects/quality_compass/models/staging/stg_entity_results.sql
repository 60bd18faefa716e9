{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table(
            ['run_id', 'canonical_node_id', 'metric_id', 'entity_hash', 'entity_result_id']
        ) }}",
        indexes=[
            {'columns': ['run_id', 'canonical_node_id', 'entity_hash']},
            {'columns': ['entity_result_id']},
        ],
    )
}}

{%- set changed = changed_run_ids() -%}

with runs as (

    select * from {{ ref('stg_runs') }}
    where {{ in_changed_runs('run_id', changed) }}

),

newest as (

    select distinct on (raw.run_id, raw.row_key) raw.id
    from {{ source('raw', 'raw_entity_results') }} as raw
    inner join runs on raw.run_id = runs.run_id
    where {{ in_changed_runs('raw.run_id', changed) }}
    order by raw.run_id asc, raw.row_key asc, raw.file_path desc, raw.line_number desc

),

entities as (

    select
        runs.run_id,
        runs.run_version,
        raw.canonical_node_id,
        raw.row_key,
        keys.entity_keys,
        content.metric -> 0 #>> '{metadata,metric_id}' as metric_id,
        content.metric -> 0 -> 'values' as metric_values,
        content.metadata,
        {{ json_array('content.statistical_methods') }} as statistical_methods
    from newest
    inner join {{ source('raw', 'raw_entity_results') }} as raw on newest.id = raw.id
    inner join runs on raw.run_id = runs.run_id
    cross join
        lateral jsonb_to_record(cast(raw.json_data as jsonb)) as content (
            entity jsonb,
            metric jsonb,
            metadata jsonb,
            statistical_methods jsonb
        )
    cross join lateral (
        select jsonb_object_agg(part.value ->> 'id', part.value ->> 'value') as entity_keys
        from jsonb_array_elements(content.entity) as part
    ) as keys

),

final as (

    select
        {{ surrogate_key(['entities.run_id', 'entities.canonical_node_id', 'entities.row_key']) }}
            as entity_result_id,
        entities.run_id,
        entities.run_version,
        cast(entities.canonical_node_id as text) as canonical_node_id,
        entities.metric_id,
        entities.entity_keys ->> 'medicareId' as facility_id,
        entities.entity_keys ->> 'vizientServiceLine' as service_line,
        entities.entity_keys ->> 'vizientSubServiceLine' as sub_service_line,
        coalesce(entities.metadata ->> 'systemName', entities.entity_keys ->> 'systemName')
            as system_name,
        entities.entity_keys,
        md5(cast({{ entity_identity('entities.entity_keys') }} as text)) as entity_hash,
        md5(cast(entities.entity_keys - array['medicareId', 'systemName'] as text)) as facet_hash,
        entities.entity_keys
        - array['medicareId', 'vizientServiceLine', 'vizientSubServiceLine', 'systemName']
            as entity_dimensions,
        md5(
            cast(
                entities.entity_keys
                - array['medicareId', 'vizientServiceLine', 'vizientSubServiceLine', 'systemName']
                as text
            )
        ) as entity_dimensions_hash,
        coalesce(
            {{ json_number('entities.metric_values') }}, timeline.latest_value
        ) as metric_value,
        timeline.latest_month,
        timeline.observed_periods,
        timeline.points as metric_trend_timeline,
        case
            when
                {{ json_number("entities.metadata -> 'encounters'") }} between 0 and 1e15
                and {{ json_number("entities.metadata -> 'encounters'") }}
                = floor({{ json_number("entities.metadata -> 'encounters'") }})
                then
                    cast(
                        cast({{ json_number("entities.metadata -> 'encounters'") }} as numeric)
                        as bigint
                    )
        end as encounters,
        entities.metadata - 'per_period' as metadata,
        entities.metadata -> 'per_period' as metadata_per_period,
        entities.statistical_methods
    from entities
    left join lateral (
        select
            (
                array_agg(
                    {{ json_number("point.value -> 'value'") }}
                    order by {{ month_of("point.value ->> 'period'") }} desc, point.place desc
                )
                filter (where {{ json_number("point.value -> 'value'") }} is not null)
            )[1] as latest_value,
            max({{ month_of("point.value ->> 'period'") }})
            filter (where {{ json_number("point.value -> 'value'") }} is not null) as latest_month,
            cast(count({{ json_number("point.value -> 'value'") }}) as integer) as observed_periods,
            jsonb_agg(
                jsonb_build_object(
                    'period', to_char({{ month_of("point.value ->> 'period'") }}, 'YYYY-MM'),
                    'value', point.value -> 'value'
                ) order by {{ month_of("point.value ->> 'period'") }} asc, point.place asc
            ) as points
        from jsonb_array_elements({{ json_array("entities.metric_values -> 'timeline'") }})
            with ordinality as point (value, place)
    ) as timeline on true

)

select * from final
