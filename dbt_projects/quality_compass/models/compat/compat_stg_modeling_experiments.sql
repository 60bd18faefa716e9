{{ config(alias='stg_modeling_experiments') }}

with experiments as (

    select * from {{ ref('stg_modeling_experiments') }}

),

contents as (

    select * from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        cast(experiments.row_id as integer) as id,
        experiments.run_id,
        experiments.config_path,
        experiments.groupby_label,
        experiments.group_value,
        experiments.estimator,
        experiments.scoring,
        experiments.n_iter,
        experiments.random_state,
        experiments.tuning_random_state,
        experiments.dataset_path,
        experiments.row_count,
        experiments.duration_seconds,
        experiments.mae,
        experiments.rmse,
        experiments.r2,
        experiments.mae_original,
        experiments.rmse_original,
        experiments.r2_original,
        experiments.inverse_cap,
        experiments.capped_pred_count,
        experiments.capped_pred_fraction,
        experiments.metrics_path,
        experiments.predictions_path,
        experiments.eda_summary_path,
        experiments.group_summary_path,
        experiments.feature_descriptor_path,
        experiments.hparam_trials_path,
        experiments.encounter_shap_path,
        experiments.facility_shap_path,
        experiments.global_shap_path,
        experiments.transparency_path,
        experiments.raw_json,
        contents.changed_at as loaded_at
    from experiments
    inner join contents on experiments.run_id = contents.run_id

)

select * from final
