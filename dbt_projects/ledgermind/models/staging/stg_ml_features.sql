{%- set columns = source_columns(source('operational', 'ml_features')) -%}

with

{%- if columns %}

renamed as (

    select
        {{ transaction_key('txn_id') }} as txn_id,
        {{ plausible_day_or_null(utc_day('ts_month', columns)) }} as ts_month,
        amount,
        {{ column_or_null('abs_amount', columns, real('null')) }},
        merchant,
        {{ column_or_null('mcc', columns, shared.text('null')) }},
        {{ column_or_null('channel', columns, shared.text('null')) }},
        {{ column_or_null('hour_of_day', columns, whole('null')) }},
        {{ value_or('dow', columns, whole('null')) }} as day_of_week,
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
