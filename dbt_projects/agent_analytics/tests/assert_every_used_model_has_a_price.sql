{{ config(severity='warn', store_failures=false) }}

with unpriced as (

    select *
    from {{ ref('int_token_costs') }}
    where unpriced_tokens > 0

),

specials as (

    select
        session_id,
        usage_date,
        agent_type,
        model_name,
        unnest(special_usage, recursive := true)  -- noqa: AL03
    from {{ ref('stg_agent_token_usage') }}

),

-- Tiers that have no price, or that of a batch, which not every model has.
tiers as (

    select
        unpriced.model_name,
        string_agg(distinct specials.service_tier, ', ' order by specials.service_tier) as tiers
    from specials
    inner join unpriced
        on
            specials.session_id = unpriced.session_id
            and specials.usage_date = unpriced.usage_date
            and specials.agent_type = unpriced.agent_type
            and specials.model_name = unpriced.model_name
    where specials.service_tier not in ('standard', 'without tokens')
    group by unpriced.model_name

)

select
    unpriced.model_name,
    tiers.tiers,
    min(unpriced.usage_date) as first_day,
    max(unpriced.usage_date) as last_day,
    sum(unpriced.unpriced_tokens) as tokens
from unpriced
left join tiers on unpriced.model_name = tiers.model_name
group by unpriced.model_name, tiers.tiers
