{{ config(alias='dim_metrics') }}

with metrics as (

    select * from {{ ref('dim_metrics') }}

),

updated as (

    select max(changed_at) as changed_at from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        metrics.metric_sk,
        metrics.metric_id,
        metrics.metric_name,
        metrics.description,
        metrics.domain,
        {{ preference_as_spelled_outside('metrics.direction_preference') }} as direction_preference,
        metrics.unit_type,
        updated.changed_at as dbt_updated_at
    from metrics
    cross join updated

)

select * from final
