{{ config(materialized='view') }}

with newest as (

    select distinct on (run_id, row_key) *
    from {{ source('raw', 'raw_modeling_experiments') }}
    order by run_id asc, row_key asc, file_path desc, line_number desc

),

final as (

    select
        {{ surrogate_key(['newest.run_id', 'newest.row_key']) }} as experiment_sk,
        newest.run_id,
        content.experiment_id,
        content.estimator,
        content.target,
        {{ json_number("content.metrics -> 'r2'") }} as r2,
        content.metrics,
        (
            select
                jsonb_object_agg(
                    feature.value, {{ extract_feature_type('feature.value') }}
                )
            from jsonb_array_elements_text({{ json_array('content.features') }}) as feature
        ) as feature_types
    from newest
    cross join lateral jsonb_to_record(cast(newest.json_data as jsonb)) as content (
        experiment_id text,
        estimator text,
        target text,
        metrics jsonb,
        features jsonb
    )

)

select * from final
