{% macro payload_text(key) -%}
    {#- Text of a scalar; an object or array is no text. Blank is nothing. -#}
    nullif(btrim({{ scalar_text(key) }}, {{ blanks() }}), '')
{%- endmacro %}

{% macro scalar_text(key, prefix='') -%}
    {#- `1001.0` of JSON is the number that CSV writes as `1001`. -#}
    case jsonb_typeof({{ prefix }}raw_data -> '{{ key }}')
        when 'string' then {{ prefix }}raw_data ->> '{{ key }}'
        when 'number' then cast(trim_scale(cast({{ prefix }}raw_data -> '{{ key }}' as numeric)) as text)
        when 'boolean' then {{ prefix }}raw_data ->> '{{ key }}'
    end
{%- endmacro %}

{% macro string_of(key) -%}
    case when jsonb_typeof(raw_data -> '{{ key }}') = 'string' then btrim(raw_data ->> '{{ key }}', {{ blanks() }}) end
{%- endmacro %}

{% macro is_mangled(id) -%}
    {#- Spreadsheets write long numbers so, and several ids become one; those of workbooks and JSON are loaded as such. -#}
    {{ id }} ~ '^-?[0-9]([.,][0-9]+)?[Ee][+][0-9]+$'
{%- endmacro %}

{% macro safe_boolean(value) -%}
    case
        when lower({{ value }}) in ('true', 't', 'yes', 'y', '1', 'on', 'active', 'enabled') then true
        when lower({{ value }}) in ('false', 'f', 'no', 'n', '0', 'off', 'inactive', 'disabled') then false
    end
{%- endmacro %}

{% macro transaction_key(prefix='') -%}
    {#-
        Also the expression of an index on bronze: keep it immutable and free of line comments. An index takes no long
        text: ids that are longer are rejected, and share a key with others at most.
    -#}
    left(btrim({{ scalar_text('transaction_id', prefix) }}, {{ blanks() }}), {{ longest_key() }})
{%- endmacro %}

{% macro longest_key() -%}
    {#- Characters, of four bytes at most, in a text that is indexed: PostgreSQL takes 2,704 bytes. -#}
    255
{%- endmacro %}

{% macro standard_category(value) -%}
    case lower({{ value }})
        {%- for category in var("categories") %}
        when '{{ category | lower }}' then '{{ category }}'
        {%- endfor %}
    end
{%- endmacro %}

{% macro parsed_products(payloads) -%}
{{ conventions_of_files(payloads, ["price", "cost"]) }},

text_of_payloads as (

    select
        payloads.id as bronze_id,
        payloads.raw_id,
        payloads.raw_data,
        payloads.source,
        payloads.source_filename,
        payloads.ingested_at,
        jsonb_typeof(payloads.raw_data) as payload_type,
        {%- for key in [
            "sku", "name", "description", "category", "brand", "price", "cost", "stock_quantity", "unit_of_measure",
            "barcode", "is_active",
        ] %}
        {{ payload_text(key) }} as {{ key }}_text,
        {%- endfor %}
        coalesce(conventions.decimal_mark, '{{ var("decimal_mark") }}') as decimal_mark,
        conventions.point_currencies,
        conventions.comma_currencies
    from {{ payloads }} as payloads
    left join conventions
        on
            coalesce(payloads.source_filename, '') = conventions.source_filename
            and payloads.ingested_at = conventions.ingested_at
    offset 0

),

shaped_payloads as (

    select
        *,
        {%- for key in ["price", "cost", "stock_quantity"] %}
        {{ money_parts(key ~ "_text") }} as {{ key }}_parts,
        {%- endfor %}
        {{ mark_of_money("decimal_mark", "'" ~ var("base_currency") ~ "'") }} as money_mark
    from text_of_payloads
    offset 0

),

with_signs as (

    select
        *,
        {{ signs_of("price", "'" ~ var("base_currency") ~ "'") }},
        {{ signs_of("cost", "'" ~ var("base_currency") ~ "'") }}
    from shaped_payloads
    offset 0

),

cast_payloads as (

    select
        *,
        {%- for key in ["price", "cost"] %}
        case when {{ key }}_text is null then 0 else {{ read_money(key ~ "_text", key ~ "_parts", "money_mark", key) }} end
            as {{ key }},
        {%- endfor %}
        case
            when stock_quantity_text is null then 0
            else {{ read_number("stock_quantity_text", "stock_quantity_parts", "decimal_mark", "stock_quantity") }}
        end as stock_quantity,
        case when is_active_text is null then true else {{ safe_boolean("is_active_text") }} end as is_active,
        coalesce(stock_quantity_parts[3], stock_quantity_parts[6]) as stock_unit
    from with_signs
    offset 0

),

parsed as (

    select
        *,
        case
            when payload_type <> 'object' then 'not_an_object'
            when sku_text is null then 'missing_sku'
            when length(sku_text) > {{ longest_key() }} then 'sku_too_long'
            when {{ is_mangled("sku_text") }} then 'mangled_sku'
            when name_text is null then 'missing_name'
            when length(category_text) > {{ longest_key() }} then 'category_too_long'
            when price is null and money_mark = 'conflicting' and {{ fits_both_marks("rtrim(price_parts[5])") }}
                then 'conflicting_decimal_mark'
            when price is null and {{ has_two_meanings("price_parts") }} then 'ambiguous_price'
            when price is null then 'invalid_price'
            when not ({{ agrees_with_signs("'" ~ var("base_currency") ~ "'", "price") }})
                then 'price_in_another_currency'
            when price < 0 then 'negative_price'
            when price >= {{ var("amount_limit") }} then 'price_too_large'
            when cost is null or not ({{ agrees_with_signs("'" ~ var("base_currency") ~ "'", "cost") }})
                then 'invalid_cost'
            when abs(cost) >= {{ var("amount_limit") }} then 'cost_too_large'
            when stock_quantity is null or stock_quantity <> trunc(stock_quantity) or stock_unit is not null
                then 'invalid_stock'
            when abs(stock_quantity) >= 2000000000 then 'stock_too_large'
            when is_active is null then 'invalid_is_active'
        end as rejection_reason
    from cast_payloads

)
{%- endmacro %}

{% macro parsed_transactions(payloads) -%}
    {#-
        Some steps, each with `offset 0`: without it PostgreSQL puts the text of each step in place of its columns,
        and takes a value out of the payload again for every rule that looks at it.
    -#}
conventions as (

    select
        source_filename,
        ingested_at,
        case when count(distinct date_order) > 1 then 'conflicting' else max(date_order) end as date_order,
        case when count(distinct decimal_mark) > 1 then 'conflicting' else max(decimal_mark) end as decimal_mark,
        string_agg(point_currencies, ' ') as point_currencies,
        string_agg(comma_currencies, ' ') as comma_currencies
    from {{ ref('int_file_conventions') }}
    group by source_filename, ingested_at

),

text_of_payloads as (

    select
        payloads.id as bronze_id,
        payloads.raw_id,
        payloads.raw_data,
        payloads.source,
        payloads.source_filename,
        payloads.ingested_at,
        jsonb_typeof(payloads.raw_data) as payload_type,
        {%- for key in [
            "transaction_id", "date", "amount", "currency", "category", "subcategory", "vendor_name", "vendor_id",
            "tax_code", "tax_amount", "description", "receipt_url", "payment_method", "employee_id", "cost_center",
            "project_code",
        ] %}
        {{ payload_text(key) }} as {{ key }}_text,
        {%- endfor %}
        {{ business_day("payloads.ingested_at") }} as ingested_on,
        conventions.date_order,
        coalesce(conventions.decimal_mark, '{{ var("decimal_mark") }}') as decimal_mark,
        conventions.point_currencies,
        conventions.comma_currencies
    from {{ payloads }} as payloads
    left join conventions
        on
            coalesce(payloads.source_filename, '') = conventions.source_filename
            and payloads.ingested_at = conventions.ingested_at
    offset 0

),

shaped_payloads as (

    select
        *,
        {{ ascii_text("date_text") }} as date_written,
        {{ money_parts("amount_text") }} as amount_parts,
        {{ money_parts("tax_amount_text") }} as tax_amount_parts,
        {{ given_currency("currency_text") }} as currency_given
    from text_of_payloads
    offset 0

),

with_signs as (

    select
        *,
        {{ signs_of("amount", "currency_given") }},
        {{ signs_of("tax_amount", "currency_given") }}
    from shaped_payloads
    offset 0

),

with_currency as (

    select
        *,
        {{ currency_of_row("currency_given", "amount") }} as currency
    from with_signs
    offset 0

),

marked_payloads as (

    select
        *,
        {{ mark_of_money("decimal_mark", "currency") }} as money_mark
    from with_currency
    offset 0

),

cast_payloads as (

    select
        *,
        {{ safe_date("date_written", "date_order") }} as transaction_date,
        {{ read_money("amount_text", "amount_parts", "money_mark", "amount") }} as amount,
        case
            when tax_amount_text is null then 0
            else {{ read_money("tax_amount_text", "tax_amount_parts", "money_mark", "tax_amount") }}
        end as tax_amount,
        {{ standard_category("category_text") }} as known_category
    from marked_payloads
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
            when length(transaction_id_text) > {{ longest_key() }} then 'transaction_id_too_long'
            when {{ is_mangled("transaction_id_text") }} then 'mangled_transaction_id'
            when date_text is null then 'missing_date'
            when transaction_date is null then {{ why_no_date("date_written", "date_order") }}
            when transaction_date > ingested_on then 'future_date'
            when
                transaction_date < ingested_on - {{ var("max_age_days") }} or transaction_date < date '1990-01-01'
                then 'too_old'
            when amount_text is null then 'missing_amount'
            when amount is null and money_mark = 'conflicting' and {{ fits_both_marks("rtrim(amount_parts[5])") }}
                then 'conflicting_decimal_mark'
            when amount is null and {{ has_two_meanings("amount_parts") }} then 'ambiguous_amount'
            when amount is null then 'invalid_amount'
            when '?' in (amount_sign_before, amount_sign_behind) then 'unknown_currency'
            when currency is null then 'ambiguous_currency'
            when
                not ({{ agrees_with_signs("currency", "amount") }})
                or not {{ agrees_with_sign("currency", "coalesce(currency_given, currency)") }}
                then 'conflicting_currency'
            when amount <= 0 then 'amount_not_positive'
            when amount >= {{ var("amount_limit") }} then 'amount_too_large'
            when currency not in ('{{ iso_currencies() | join("', '") }}') then 'invalid_currency'
            when vendor_id_text is null then 'missing_vendor'
            when length(vendor_id_text) > {{ longest_key() }} then 'vendor_id_too_long'
            when length(employee_id_text) > {{ longest_key() }} then 'employee_id_too_long'
            when length(cost_center_text) > {{ longest_key() }} then 'cost_center_too_long'
            when not ({{ agrees_with_signs("currency", "tax_amount") }}) then 'invalid_tax_amount'
            when tax_amount is null or abs(tax_amount) >= {{ var("amount_limit") }} then 'invalid_tax_amount'
        end as rejection_reason
    from cast_payloads
    offset 0

)
{%- endmacro %}
