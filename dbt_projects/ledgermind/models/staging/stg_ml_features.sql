{%- set columns = source_columns(source('operational', 'ml_features')) -%}

with

{%- if columns %}

renamed as (

    select
        {{ transaction_key('txn_id') }} as txn_id,
        {{ plausible_day_or_null(utc_day('ts_month', columns)) }} as ts_month,
        amount,
        abs_amount,
        merchant,
        mcc,
        channel,
        hour_of_day,
        dow as day_of_week,
        {{ truth('is_weekend', columns) }} as is_weekend,
        {{ truth('is_subscription', columns) }} as is_subscription
    from {{ source('operational', 'ml_features') }}

)

{%- else %}

renamed as (

    select
        {{ transaction_key(whole('null')) }} as txn_id,
        cast(null as date) as ts_month,
        {{ real('null') }} as amount,
        {{ real('null') }} as abs_amount,
        {{ shared.text('null') }} as merchant,
        {{ shared.text('null') }} as mcc,
        {{ shared.text('null') }} as channel,
        {{ whole('null') }} as hour_of_day,
        {{ whole('null') }} as day_of_week,
        cast(null as boolean) as is_weekend,
        cast(null as boolean) as is_subscription
    from {{ ref('stg_transactions') }}
    where false

)

{%- endif %}

{{ one_of_each_key('renamed', 'ml_features', 'txn_id', 'ts_month desc') }}
