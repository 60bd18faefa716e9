{{ config(severity='warn', store_failures=false) }}

select
    model_name,
    min(usage_date) as first_day,
    max(usage_date) as last_day,
    sum(unpriced_tokens) as tokens
from {{ ref('int_token_costs') }}
where unpriced_tokens > 0
group by model_name
