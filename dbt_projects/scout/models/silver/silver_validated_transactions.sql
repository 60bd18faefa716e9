{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='transaction_id',
        on_schema_change='fail',
        indexes=[
            {'columns': ['id'], 'unique': true},
            {'columns': ['bronze_id'], 'unique': true},
            {'columns': ['transaction_id'], 'unique': true},
            {'columns': ['raw_id']},
            {'columns': ['transaction_date']},
            {'columns': ['category']},
            {'columns': ['vendor_id']},
        ],
    )
}}

with

payloads as (

    select * from {{ ref('bronze_transactions') }}
    {% if is_incremental() %}
    where raw_id > {{ greatest_raw_id(this) }}
    {% endif %}

),

{{ parsed_transactions('payloads') }},

newest as (

    select distinct on (transaction_id_text)
        bronze_id,
        raw_id,
        transaction_id_text,
        transaction_date,
        amount,
        currency,
        category,
        is_category_unknown,
        subcategory_text,
        vendor_name_text,
        vendor_id_text,
        tax_code_text,
        tax_amount,
        description_text,
        receipt_url_text,
        payment_method_text,
        employee_id_text,
        cost_center_text,
        project_code_text,
        source,
        ingested_at
    from parsed
    where rejection_reason is null
    order by transaction_id_text asc, ingested_at desc, raw_id desc

),

winning as (

    select newest.*
    from newest
    {% if is_incremental() %}
    left join {{ this }} as standing on newest.transaction_id_text = standing.transaction_id
    where
        standing.transaction_id is null
        or (newest.ingested_at, newest.raw_id) > (standing.ingested_at, standing.raw_id)
    {% endif %}

),

final as (

    select
        cast(md5(transaction_id_text) as uuid) as id,
        bronze_id,
        raw_id,
        transaction_id_text as transaction_id,
        transaction_date,
        cast(amount as numeric(15, 2)) as amount,
        currency,
        category,
        subcategory_text as subcategory,
        coalesce(vendor_name_text, 'Unknown Vendor') as vendor_name,
        vendor_id_text as vendor_id,
        tax_code_text as tax_code,
        cast(tax_amount as numeric(15, 2)) as tax_amount,
        description_text as description,
        receipt_url_text as receipt_url,
        payment_method_text as payment_method,
        employee_id_text as employee_id,
        cost_center_text as cost_center,
        project_code_text as project_code,
        source,
        ingested_at,
        {{ build_moment() }} as validated_at,
        case
            when is_category_unknown then 'unknown_category'
            when vendor_name_text is null then 'missing_vendor_name'
            when
                tax_code_text = 'VAT-12'
                and tax_amount > 0
                and abs(tax_amount - amount * 12 / 112) > 0.02
                and abs(tax_amount - amount * 12 / 100) > 0.02
                then 'tax_mismatch'
        end as validation_issue
    from winning

)

select * from final
