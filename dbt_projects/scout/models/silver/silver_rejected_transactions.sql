{{
    config(
        materialized='incremental',
        meta={'is_braked': false},
        incremental_strategy='merge',
        unique_key='bronze_id',
        on_schema_change='fail',
        indexes=[
            {'columns': ['bronze_id'], 'unique': true},
            {'columns': ['raw_id']},
            {'columns': ['rejection_reason']},
            {'columns': ['silver_through']},
        ],
    )
}}

{#- Silver decides up to a payload; what came after it waits for silver's next build. -#}
{%- set silver_through = greatest_raw_id(ref('silver_validated_transactions')) -%}

with

{% if is_incremental() -%}
{%- set watermark = greatest_raw_id(this, 'silver_through') -%}
new_payloads as (

    select *
    from {{ ref('bronze_transactions') }}
    where raw_id > {{ watermark }}

),

new_keys as (

    select distinct {{ transaction_key() }} as transaction_key
    from new_payloads

),

-- A payload that was in silver until a newer one took its place is an old one.
payloads as (

    select *
    from new_payloads
    union all
    select displaced.*
    from new_keys
    inner join {{ ref('bronze_transactions') }} as displaced
        on new_keys.transaction_key = {{ transaction_key('displaced.') }}
    where displaced.raw_id <= {{ watermark }}

),

{%- else -%}
payloads as (

    select * from {{ ref('bronze_transactions') }}

),
{%- endif %}

outside_silver as (

    select payloads.*
    from payloads
    where
        not exists (
            select 1
            from {{ ref('silver_validated_transactions') }} as accepted
            where accepted.raw_id = payloads.raw_id
        )

),

{{ parsed_transactions('outside_silver') }},

judged as (

    select
        parsed.bronze_id,
        parsed.raw_id,
        parsed.transaction_id_text,
        parsed.raw_data,
        parsed.source,
        parsed.source_filename,
        parsed.ingested_at,
        coalesce(
            parsed.rejection_reason,
            case when winner.transaction_id is not null then 'superseded' end
        ) as rejection_reason,
        case when parsed.rejection_reason is null then winner.bronze_id end as superseded_by
    from parsed
    left join {{ ref('silver_validated_transactions') }} as winner
        on
            parsed.transaction_id_text = winner.transaction_id
            and (winner.ingested_at, winner.raw_id) > (parsed.ingested_at, parsed.raw_id)

),

final as (

    select
        bronze_id,
        raw_id,
        transaction_id_text as transaction_id,
        rejection_reason,
        superseded_by,
        raw_data,
        source,
        source_filename,
        ingested_at,
        {{ build_moment() }} as rejected_at,
        cast({{ silver_through }} as bigint) as silver_through
    from judged
    where rejection_reason is not null

)

select * from final
