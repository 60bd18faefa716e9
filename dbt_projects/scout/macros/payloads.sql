{% macro payload_text(key) -%}
    {#- Text of a scalar; an object or array is no text. Blank is nothing. -#}
    nullif(
        btrim(
            case
                when jsonb_typeof(raw_data -> '{{ key }}') in ('string', 'number', 'boolean')
                    then raw_data ->> '{{ key }}'
            end,
            e' \t\r\n'
        ),
        ''
    )
{%- endmacro %}

{% macro safe_numeric(value) -%}
    case
        when {{ value }} ~ '^[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})$'
            then cast({{ value }} as numeric)
        when {{ value }} ~ '^[+-]?[0-9]{1,3}(,[0-9]{3}){1,9}(\.[0-9]{0,30})?$'
            then cast(replace({{ value }}, ',', '') as numeric)
        -- A decimal comma: 1.234,50 and 12,5, which no grouping by thousands gives.
        when {{ value }} ~ '^[+-]?([0-9]{1,30}|[0-9]{1,3}(\.[0-9]{3}){1,9}),[0-9]{1,2}$'
            then cast(replace(replace({{ value }}, '.', ''), ',', '.') as numeric)
    end
{%- endmacro %}

{% macro safe_boolean(value) -%}
    case
        when lower({{ value }}) in ('true', 't', 'yes', 'y', '1') then true
        when lower({{ value }}) in ('false', 'f', 'no', 'n', '0') then false
    end
{%- endmacro %}

{% macro transaction_key(prefix='') -%}
    {#- Also the expression of an index on bronze: keep it immutable and free of line comments. -#}
    btrim({{ prefix }}raw_data ->> 'transaction_id', e' \t\r\n')
{%- endmacro %}

{% macro standard_category(value) -%}
    case lower({{ value }})
        {%- for category in var("categories") %}
        when '{{ category | lower }}' then '{{ category }}'
        {%- endfor %}
    end
{%- endmacro %}

{% macro parsed_products(payloads) -%}
text_of_payloads as (

    select
        id as bronze_id,
        raw_id,
        raw_data,
        source,
        source_filename,
        ingested_at,
        jsonb_typeof(raw_data) as payload_type,
        {%- for key in [
            "sku", "name", "description", "category", "brand", "price", "cost", "stock_quantity", "unit_of_measure",
            "barcode", "is_active",
        ] %}
        {{ payload_text(key) }} as {{ key }}_text{{ "," if not loop.last }}
        {%- endfor %}
    from {{ payloads }}

),

cast_payloads as (

    select
        *,
        case when price_text is null then 0 else round({{ safe_numeric("price_text") }}, 2) end as price,
        coalesce(round({{ safe_numeric("cost_text") }}, 2), 0) as cost,
        coalesce(trunc({{ safe_numeric("stock_quantity_text") }}), 0) as stock_quantity
    from text_of_payloads

),

parsed as (

    select
        *,
        case
            when payload_type <> 'object' then 'not_an_object'
            when sku_text is null then 'missing_sku'
            when name_text is null then 'missing_name'
            when price is null then 'invalid_price'
            when price < 0 then 'negative_price'
            when price >= {{ var("amount_limit") }} then 'price_too_large'
            when abs(cost) >= {{ var("amount_limit") }} then 'cost_too_large'
            when abs(stock_quantity) >= 2000000000 then 'stock_too_large'
        end as rejection_reason
    from cast_payloads

)
{%- endmacro %}

{% macro parsed_transactions(payloads) -%}
    {#-
        Three steps, each with `offset 0`: without it PostgreSQL puts the text of each step in place of its columns,
        and takes a value out of the payload again for every rule that looks at it.
    -#}
text_of_payloads as (

    select
        id as bronze_id,
        raw_id,
        raw_data,
        source,
        source_filename,
        ingested_at,
        jsonb_typeof(raw_data) as payload_type,
        {%- for key in [
            "transaction_id", "date", "amount", "currency", "category", "subcategory", "vendor_name", "vendor_id",
            "tax_code", "tax_amount", "description", "receipt_url", "payment_method", "employee_id", "cost_center",
            "project_code",
        ] %}
        {{ payload_text(key) }} as {{ key }}_text,
        {%- endfor %}
        {{ business_day("ingested_at") }} as ingested_on
    from {{ payloads }}
    offset 0

),

cast_payloads as (

    select
        *,
        {{ safe_date("date_text") }} as transaction_date,
        round({{ safe_numeric("amount_text") }}, 2) as amount,
        coalesce(upper(currency_text), '{{ var("base_currency") }}') as currency,
        {{ standard_category("category_text") }} as known_category,
        case when tax_amount_text is null then 0 else round({{ safe_numeric("tax_amount_text") }}, 2) end as tax_amount
    from text_of_payloads
    offset 0

),

parsed as (

    select
        *,
        coalesce(known_category, case when category_text is null then 'Uncategorized' else 'Other' end) as category,
        category_text is not null and known_category is null as is_category_unknown,
        case
            when payload_type <> 'object' then 'not_an_object'
            when transaction_id_text is null then 'missing_transaction_id'
            when date_text is null then 'missing_date'
            when transaction_date is null then 'invalid_date'
            when transaction_date > ingested_on then 'future_date'
            when transaction_date < ingested_on - {{ var("max_age_days") }} then 'too_old'
            when amount_text is null then 'missing_amount'
            when amount is null then 'invalid_amount'
            when amount <= 0 then 'amount_not_positive'
            when amount >= {{ var("amount_limit") }} then 'amount_too_large'
            when currency !~ '^[A-Z]{3}$' then 'invalid_currency'
            when vendor_id_text is null then 'missing_vendor'
            when tax_amount is null or abs(tax_amount) >= {{ var("amount_limit") }} then 'invalid_tax_amount'
        end as rejection_reason
    from cast_payloads
    offset 0

)
{%- endmacro %}
