with usage as (

    select * from {{ ref('fct_daily_agent_usage') }}

),

newest as (

    select max(date) as last_date from usage

),

grouped as (

    select
        usage.model_name,
        usage.agent_type,
        newest.last_date,
        sum(usage.total_cost_usd) as cost_usd,
        sum(usage.reported_cost_usd) as reported_cost_usd,
        sum(usage.total_tokens) as total_tokens,
        sum(usage.unpriced_tokens) as unpriced_tokens,
        sum(usage.total_input_tokens) as input_tokens,
        sum(usage.total_cache_creation_tokens) as cache_creation_tokens,
        sum(usage.total_cache_read_tokens) as cache_read_tokens
    from usage
    inner join newest on usage.date > newest.last_date - 30
    group by usage.model_name, usage.agent_type, newest.last_date
    having greatest(sum(usage.total_tokens), sum(usage.total_cache_read_tokens)) > 0

),

placed as (

    select
        grouped.*,
        row_number() over (
            order by
                grouped.cost_usd desc nulls last,
                grouped.total_tokens desc,
                grouped.model_name asc,
                grouped.agent_type asc
        ) as place
    from grouped

),

final as (

    select
        place,
        coalesce(model_name, 'not known') as model_name,
        agent_type,
        last_date,
        cast(cost_usd as decimal(38, 10)) as cost_usd,
        cast(reported_cost_usd as decimal(38, 10)) as reported_cost_usd,
        cast(total_tokens as bigint) as total_tokens,
        cast(unpriced_tokens as bigint) as unpriced_tokens,
        cast(
            cache_read_tokens
            / nullif(input_tokens + cache_creation_tokens + cache_read_tokens, 0) as double
        ) as cache_hit_rate
    from placed

)

select * from final
