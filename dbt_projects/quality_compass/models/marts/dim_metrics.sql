{{ config(post_hook="{{ analyze_table() }}") }}

with catalog as (

    select * from {{ ref('metric_catalog') }}

),

metrics as (

    select metric_id from {{ ref('int_metric_runs') }}
    union distinct
    select metric_id from catalog

),

final as (

    select
        {{ surrogate_key(['metrics.metric_id']) }} as metric_sk,
        metrics.metric_id,
        coalesce(
            cast(catalog.name as text),
            initcap(trim({{ metric_words('metrics.metric_id') }}))
        ) as metric_name,
        cast(catalog.description as text) as description,
        coalesce(
            cast(catalog.domain as text), {{ classify_metric_domain('metrics.metric_id') }}
        ) as domain,
        coalesce(
            cast(catalog.direction_preference as text), {{ metric_direction('metrics.metric_id') }}
        ) as direction_preference,
        coalesce(
            cast(catalog.unit_type as text),
            case
                when {{ metric_words('metrics.metric_id') }} ~ ' (rate|pct|percent) ' then 'percent'
                when {{ metric_words('metrics.metric_id') }} ~ ' days ' then 'days'
                when {{ metric_words('metrics.metric_id') }} ~ ' index ' then 'ratio'
                else 'number'
            end
        ) as unit_type,
        coalesce(cast(catalog.display_format as text), '0.00') as display_format,
        catalog.metric_id is not null as is_in_catalog
    from metrics
    left join catalog on metrics.metric_id = catalog.metric_id

)

select * from final
