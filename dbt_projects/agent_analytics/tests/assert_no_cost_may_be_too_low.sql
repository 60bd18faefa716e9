{{ config(severity='warn', store_failures=false) }}

select
    agent_type,
    model_name,
    sum(list_cost_usd) as list_cost_usd,
    sum(may_cost_more_usd) as may_cost_more_usd
from {{ ref('int_token_costs') }}
where may_cost_more_usd > 0
group by agent_type, model_name
