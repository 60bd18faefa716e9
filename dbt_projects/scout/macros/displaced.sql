{% macro displaced_within_files(entity, id) -%}
    {#- Of one file's payloads of one id silver keeps the last: files of the last week with others before it, which may be
        the items of one order, or ids that somebody shortened. -#}
    with

    rejected as (

        select * from {{ ref('silver_rejected_' ~ entity) }}

    ),

    bronze as (

        select * from {{ ref('bronze_' ~ entity) }}

    ),

    displaced as (

        select *
        from rejected
        where
            rejection_reason = 'superseded'
            and ingested_at > (select max(each.ingested_at) from rejected as each) - interval '7 days'

    )

    select
        displaced.source_filename,
        displaced.ingested_at,
        count(*) as displaced_count,
        min(displaced.{{ id }}) as {{ id }}
    from displaced
    inner join bronze on displaced.superseded_by = bronze.id
    where
        displaced.ingested_at = bronze.ingested_at
        and displaced.source_filename = bronze.source_filename
        and displaced.raw_data <> bronze.raw_data
    group by displaced.source_filename, displaced.ingested_at
{%- endmacro %}
