with facilities as (

    select
        run_id,
        facility_id,
        facility_name,
        metric_id,
        metric_name,
        worst_group,
        row_number() over (
            partition by facility_id order by worst_severity_score desc, metric_id asc
        ) as metric_place
    from {{ ref('rpt_quality_facilities') }}
    where facility_place <= 5

),

signals as (

    select * from {{ ref('fct_signals') }}

),

chosen as (

    select
        facilities.facility_id,
        facilities.facility_name,
        facilities.metric_id,
        facilities.metric_name,
        facilities.worst_group as group_value,
        signals.metric_trend_timeline,
        signals.peer_percentile_trends,
        row_number() over (
            partition by facilities.facility_id order by signals.signal_id asc
        ) as choice
    from facilities
    inner join signals
        on
            facilities.run_id = signals.run_id
            and facilities.facility_id = coalesce(signals.facility_id, '')
            and facilities.metric_id = signals.metric_id
            and facilities.worst_group is not distinct from signals.group_value
    where
        facilities.metric_place = 1
        and jsonb_typeof(signals.metric_trend_timeline) = 'array'

),

months as (

    select
        chosen.facility_id,
        chosen.facility_name,
        chosen.metric_id,
        chosen.metric_name,
        chosen.group_value,
        left(timeline.item ->> 'period', 40) as month,
        timeline.item -> 'value' as metric_value,
        (
            select peers.item
            from jsonb_array_elements({{ json_array('chosen.peer_percentile_trends') }})
                with ordinality as peers (item, place)
            where peers.item ->> 'period' = timeline.item ->> 'period'
            order by peers.place asc
            limit 1
        ) as peers,
        row_number() over (
            partition by chosen.facility_id, left(timeline.item ->> 'period', 40)
            order by timeline.place desc
        ) as recency,
        timeline.place
    from chosen
    cross join
        jsonb_array_elements(chosen.metric_trend_timeline)
        with ordinality as timeline (item, place)
    where chosen.choice = 1 and timeline.item ->> 'period' is not null

),

numbers as (

    select
        months.*,
        {{ json_number('metric_value') }} as metric_number,
        {{ json_number("peers -> 'p25'") }} as p25,
        {{ json_number("peers -> 'p50'") }} as p50,
        {{ json_number("peers -> 'p75'") }} as p75
    from months
    -- A run may name a month twice: the last word counts.
    where months.place <= 60 and months.recency = 1

),

final as (

    select
        facility_id,
        month,
        facility_name,
        metric_id,
        metric_name,
        group_value,
        metric_number as metric_value,
        case when p25 <= p50 and p50 <= p75 then p25 end as peers_p25,
        case when p25 <= p50 and p50 <= p75 then p50 end as peers_median,
        case when p25 <= p50 and p50 <= p75 then p75 end as peers_p75
    from numbers

)

select * from final
