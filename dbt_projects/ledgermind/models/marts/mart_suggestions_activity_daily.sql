{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
    )
}}

with tenants as (

    select
        created_date,
        sum(events) as suggestions,
        sum(transactions) as transactions
    from {{ ref('mart_suggestions_tenant_daily') }}
    group by created_date

),

models as (

    select
        created_date,
        count(distinct model_id) as models
    from {{ ref('int_suggestions_daily') }}
    where model_id <> 'unknown'
    group by created_date

),

-- A transaction has one tenant, so that those of all tenants add up.
final as (

    select
        tenants.created_date,
        {{ whole('tenants.suggestions') }} as suggestions,
        {{ whole('tenants.transactions') }} as transactions,
        {{ whole('coalesce(models.models, 0)') }} as models
    from tenants
    left join models on tenants.created_date = models.created_date

)

select * from final
