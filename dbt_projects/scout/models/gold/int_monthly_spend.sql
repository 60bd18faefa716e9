{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['month', 'category', 'currency'],
        on_schema_change='fail',
        indexes=[{'columns': ['month', 'category', 'currency'], 'unique': true}],
    )
}}

-- A test that fails holds back what is built from all that it looks at: the gates look at both.
-- depends_on: {{ ref('silver_rejected_transactions') }}
with

transactions as not materialized (

    select
        {{ month_of("transaction_date") }} as month,
        category,
        currency,
        raw_id,
        amount,
        tax_amount,
        vendor_id,
        employee_id,
        cost_center
    from {{ ref('silver_validated_transactions') }}
    where
        transaction_date <= {{ as_of_date() }}
        -- The first month that is shown is compared with the one a year before.
        and transaction_date
        >= {{ month_of(as_of_date()) }}
        - interval '{{ var("monthly_window_months") }} months' - interval '11 months'

),

{% if is_incremental() -%}
{{ changed_groups('month') }},
{%- endif %}

measured as (

    select
        month,
        category,
        currency,
        count(*) as transaction_count,
        {{ fingerprint('raw_id') }} as fingerprint,
        count(distinct vendor_id) as unique_vendors,
        sum(amount) as total_amount,
        avg(amount) as avg_amount,
        min(amount) as min_amount,
        max(amount) as max_amount,
        percentile_cont(0.5) within group (order by amount) as median_amount,
        sum(tax_amount) as total_tax,
        -- An array holds 256 MiB: of a long id its hash is enough to tell it from others.
        jsonb_agg(
            distinct case
                when octet_length(employee_id) > 32 then md5(employee_id) else employee_id
            end
        ) filter (where employee_id is not null) as employee_ids,
        count(distinct cost_center) as unique_cost_centers
    from transactions
    {% if is_incremental() -%}
    where
        (month, category, currency)
        in (
            select
                changed.month,
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
        changed.month,
        changed.category,
        changed.currency,
        coalesce(measured.transaction_count, 0) as transaction_count,
        measured.fingerprint,
        measured.unique_vendors,
        measured.total_amount,
        measured.avg_amount,
        measured.min_amount,
        measured.max_amount,
        measured.median_amount,
        measured.total_tax,
        measured.employee_ids,
        measured.unique_cost_centers
    from changed
    left join measured
        on
            changed.month = measured.month
            and changed.category = measured.category
            and changed.currency = measured.currency

)

{%- else -%}
final as (

    select * from measured

)
{%- endif %}

select * from final
