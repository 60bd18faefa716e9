{%- set columns = source_columns(source('operational', 'transaction_labels')) -%}

with

{%- if columns %}

renamed as (

    select
        {{ transaction_key('txn_id') }} as txn_id,
        label,
        {{ value_or('source', columns, shared.text('null')) }} as label_source,
        {{ plausible_or_null(utc_or_null('created_at', columns)) }} as created_at,
        {{ plausible_or_null(utc('updated_at', columns)) }} as updated_at
    from {{ source('operational', 'transaction_labels') }}

)

{%- else %}

renamed as (

    select
        {{ transaction_key(whole('null')) }} as txn_id,
        {{ shared.text('null') }} as label,
        {{ shared.text('null') }} as label_source,
        cast(null as timestamp) as created_at,
        cast(null as timestamp) as updated_at
    from {{ ref('stg_transactions') }}
    where false

)

{%- endif %}

{{ one_of_each_key('renamed', 'transaction_labels', 'txn_id', 'updated_at desc') }}
