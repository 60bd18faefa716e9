{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

-- A session is made from its usage and from the list of prices as a whole.
with inputs as (

    select
        session_id,
        hash(
            any_value(input_hash),
            (
                select {{ hash_of_rows('prices') }}
                from {{ ref('model_prices') }} as prices  -- noqa: AL05
            )
        ) as input_hash
    from {{ ref('stg_agent_token_usage') }}
    group by session_id

),

touched as (

    {{ touched('session_id') }}

),

usage as (

    select usage.* replace (touched.input_hash as input_hash)
    from {{ ref('stg_agent_token_usage') }} as usage
    inner join touched on usage.session_id = touched.session_id

),

models as (

    select distinct
        model_name,
        usage_date,
        {{ price_name('model_name') }} as price_name
    from usage

),

-- Names come with a provider before and a date behind: anthropic/claude-sonnet-4-5-20250929. Of the
-- price names that begin it the longest counts. What stands behind it may only say which build or
-- window of the same model it is: claude-opus-5-5 is another model than claude-opus-5.
model_prices as (

    select
        models.model_name,
        models.usage_date,
        prices.input,
        prices.cache_write_5m,
        prices.cache_read,
        prices.output
    from models
    inner join {{ ref('model_prices') }} as prices
        on
            starts_with(models.price_name, prices.model_prefix)
            and regexp_matches(
                substr(models.price_name, length(prices.model_prefix) + 1),
                '^(-?[0-9]{8}|-latest)?(-v[0-9]+)?([@\[:].*)?$'
            )
            and models.usage_date >= prices.effective_from
            and models.usage_date < coalesce(prices.effective_to, date '9999-12-31')
    qualify row_number() over (
            partition by models.model_name, models.usage_date
            order by length(prices.model_prefix) desc, prices.effective_from desc
        ) = 1

),

final as (

    select
        usage.session_id,
        usage.usage_date,
        usage.agent_type,
        usage.model_name,
        usage.usage_source,
        usage.total_requests,
        usage.total_input_tokens,
        usage.total_output_tokens,
        usage.total_cache_creation_tokens,
        usage.total_cache_read_tokens,
        usage.total_tokens,
        usage.reported_cost_usd,
        -- Decimals: sums are the same in whichever order they are added.
        cast(
            cast(0.000001 as decimal(7, 6)) * (
                cast(usage.total_input_tokens as decimal(18, 0)) * model_prices.input
                + cast(usage.total_output_tokens as decimal(18, 0)) * model_prices.output
                + cast(usage.total_cache_creation_tokens as decimal(18, 0))
                * model_prices.cache_write_5m
                + cast(usage.total_cache_read_tokens as decimal(18, 0)) * model_prices.cache_read
            ) as decimal(28, 10)
        ) as list_cost_usd,
        case
            when model_prices.model_name is null
                then usage.total_tokens + usage.total_cache_read_tokens
            else 0
        end as unpriced_tokens,
        usage.input_hash
    from usage
    left join model_prices
        on
            usage.model_name = model_prices.model_name
            and usage.usage_date = model_prices.usage_date

)

select * from final
{{ and_replaced('session_id') }}
