{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['week', 'category', 'currency'],
        on_schema_change='fail',
        indexes=[{'columns': ['week', 'category', 'currency'], 'unique': true}],
    )
}}

-- A test that fails holds back what is built from all that it looks at: the gates look at both.
-- depends_on: {{ ref('silver_rejected_transactions') }}
with

transactions as not materialized (

    select
        {{ week_of("transaction_date") }} as week,
        category,
        currency,
        raw_id,
        amount,
        vendor_id
    from {{ ref('silver_validated_transactions') }}
    where transaction_date <= {{ as_of_date() }}

),

{% if is_incremental() -%}
{{ changed_groups('week') }},
{%- endif %}

measured as (

    select
        week,
        category,
        currency,
        count(*) as transaction_count,
        {{ fingerprint('raw_id') }} as fingerprint,
        sum(amount) as total_amount,
        avg(amount) as avg_amount,
        stddev_samp(amount) as stddev_amount,
        count(distinct vendor_id) as unique_vendors
    from transactions
    {% if is_incremental() -%}
    where
        (week, category, currency)
        in (
            select
                changed.week,
                changed.category,
                changed.currency
            from changed
        )
    {% endif -%}
    group by 1, 2, 3

),

{% if is_incremental() -%}
-- A group that has lost its last transaction stays as an empty one.
final as (

    select
        changed.week,
        changed.category,
        changed.currency,
        coalesce(measured.transaction_count, 0) as transaction_count,
        measured.fingerprint,
        measured.total_amount,
        measured.avg_amount,
        measured.stddev_amount,
        measured.unique_vendors
    from changed
    left join measured
        on
            changed.week = measured.week
            and changed.category = measured.category
            and changed.currency = measured.currency

)

{%- else -%}
final as (

    select * from measured

)
{%- endif %}

select * from final
