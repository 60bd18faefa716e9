{{ config(materialized='view') }}

with newest as (

    select distinct on (run_id, row_key) *
    from {{ source('raw', 'raw_modeling_experiments') }}
    order by run_id asc, row_key asc, file_path desc, line_number desc

),

final as (

    select
        {{ surrogate_key(['newest.run_id', 'newest.row_key']) }} as experiment_sk,
        newest.id as row_id,
        cast(newest.run_id as text) as run_id,
        content.experiment_id,
        content.estimator,
        regexp_replace(content.config_path, '^/data/runs/', '') as config_path,
        content.groupby_label,
        content.group_value,
        content.scoring,
        regexp_replace(content.dataset_path, '^/data/runs/', '') as dataset_path,
        {{ json_integer('content.n_iter') }} as n_iter,
        {{ json_integer('content.random_state') }} as random_state,
        {{ json_integer('content.tuning_random_state') }} as tuning_random_state,
        {{ json_integer('content.rows') }} as row_count,
        {{ json_number('content.duration_seconds') }} as duration_seconds,
        {%- for name, key in [
            ('mae', 'mae'),
            ('rmse', 'rmse'),
            ('mae_original', 'mae_original'),
            ('rmse_original', 'rmse_original'),
            ('r2_original', 'r2_original'),
            ('inverse_cap', 'inverse_cap'),
            ('capped_pred_count', 'capped_pred_original_count'),
            ('capped_pred_fraction', 'capped_pred_original_fraction'),
        ] %}
        {{ json_number("content.metrics -> '" ~ key ~ "'") }} as {{ name }},
        {%- endfor %}
        {%- for name, path in [
            ('metrics_path', 'metrics'),
            ('predictions_path', 'predictions'),
            ('eda_summary_path', 'eda_summary'),
            ('group_summary_path', 'group_summary'),
            ('feature_descriptor_path', 'feature_descriptor'),
            ('hparam_trials_path', 'hparam_trials'),
            ('encounter_shap_path', 'interpretability,encounter'),
            ('facility_shap_path', 'interpretability,facility'),
            ('global_shap_path', 'interpretability,global_summary'),
            ('transparency_path', 'interpretability,transparency'),
        ] %}
        -- Below the folder of runs; the modelling container sees that folder as /data/runs.
        regexp_replace(content.artifacts #>> '{ {{- path -}} }', '^/data/runs/', '') as {{ name }},
        {%- endfor %}
        cast(newest.json_data as jsonb) as raw_json,
        newest.line_number as position,
        content.target,
        {{ json_number("content.metrics -> 'r2'") }} as r2,
        content.metrics,
        (
            select
                jsonb_object_agg(
                    feature.value, {{ extract_feature_type('feature.value') }}
                )
            from jsonb_array_elements_text({{ json_array('content.features') }}) as feature
            where feature.value is not null
        ) as feature_types
    from newest
    cross join lateral jsonb_to_record(cast(newest.json_data as jsonb)) as content (
        experiment_id text,
        estimator text,
        target text,
        config_path text,
        groupby_label text,
        group_value text,
        scoring text,
        dataset_path text,
        n_iter jsonb,
        random_state jsonb,
        tuning_random_state jsonb,
        rows jsonb,
        duration_seconds jsonb,
        artifacts jsonb,
        metrics jsonb,
        features jsonb
    )

)

select * from final
