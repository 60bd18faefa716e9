{% macro fingerprint(raw_id) -%}
    {#-
        Stands for the set of payloads a group is made of. What silver makes of a payload never changes, so the same
        payloads give the same figures.
    -#}
    bit_xor(hashint8extended({{ raw_id }}, 0))
{%- endmacro %}

{% macro changed_groups(period) -%}
    {#- Groups of `transactions` that are made of other payloads than those counted in this table, or of none now. -#}
fingerprints as (

    select
        {{ period }},
        category,
        currency,
        count(*) as transaction_count,
        {{ fingerprint('raw_id') }} as fingerprint
    from transactions
    group by 1, 2, 3

),

changed as (

    select
        coalesce(fingerprints.{{ period }}, standing.{{ period }}) as {{ period }},
        coalesce(fingerprints.category, standing.category) as category,
        coalesce(fingerprints.currency, standing.currency) as currency
    from fingerprints
    full join {{ this }} as standing
        on
            fingerprints.{{ period }} = standing.{{ period }}
            and fingerprints.category = standing.category
            and fingerprints.currency = standing.currency
    where
        (coalesce(fingerprints.transaction_count, 0), fingerprints.fingerprint)
        is distinct from (standing.transaction_count, standing.fingerprint)

)
{%- endmacro %}
