{{ config(alias='fct_model_drivers') }}

with experiments as (

    select * from {{ ref('stg_modeling_experiments') }}

),

contents as (

    select * from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        experiments.run_id,
        experiments.estimator,
        experiments.groupby_label,
        experiments.group_value,
        experiments.row_count,
        experiments.duration_seconds,
        experiments.mae,
        experiments.rmse,
        experiments.r2,
        experiments.mae_original,
        experiments.rmse_original,
        experiments.r2_original,
        experiments.global_shap_path,
        experiments.facility_shap_path,
        experiments.encounter_shap_path,
        row_number() over (
            partition by experiments.run_id, experiments.estimator
            order by experiments.r2 desc nulls last, experiments.experiment_sk asc
        ) as experiment_rank,
        contents.changed_at as loaded_at
    from experiments
    inner join contents on experiments.run_id = contents.run_id
    where experiments.run_id = {{ newest_run_of(ref('stg_modeling_experiments')) }}
)

select * from final
