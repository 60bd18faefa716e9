{{ config(materialized='view') }}

with nodes as (

    select * from {{ ref('stg_nodes') }}

),

trends as (

    select
        nodes.run_id,
        nodes.canonical_node_id,
        nodes.metric_id,
        method.value #> '{summary,global_statistics,percentile_trends}' as trend
    from nodes
    cross join
        lateral jsonb_array_elements(
            {{ json_array("nodes.raw_json -> 'statistical_methods'") }}
        ) as method
    where
        jsonb_typeof(
            method.value #> '{summary,global_statistics,percentile_trends,periods}'
        ) = 'array'

),

periods as (

    select
        trends.run_id,
        trends.canonical_node_id,
        trends.metric_id,
        trends.trend,
        period.value as period,
        cast(period.ordinality as integer) - 1 as position
    from trends
    cross join
        lateral jsonb_array_elements_text(trends.trend -> 'periods') with ordinality as period

),

final as (

    select distinct on (run_id, canonical_node_id, {{ month_of('period') }})
        {{ surrogate_key(['run_id', 'canonical_node_id', month_of('period')]) }}
            as percentile_trend_id,
        run_id,
        canonical_node_id,
        metric_id,
        {{ month_of('period') }} as period_month,
        {%- for percentile in ['p10', 'p25', 'p50', 'p75', 'p90'] %}
        case
            when
                {{ is_suppressed(flag_of_period("(trend -> 'suppression_applied')", percentile)) }}
                then null
            else {{ json_number("trend -> '" ~ percentile ~ "' -> position") }}
        end as {{ percentile }},
        {%- endfor %}
        {{ json_integer("trend -> 'sample_sizes' -> position") }} as sample_size
    from periods
    order by run_id asc, canonical_node_id asc, {{ month_of('period') }} asc, position asc

)

select * from final
