with facilities as (

    select
        facility_id,
        facility_name,
        metric_id,
        metric_name,
        worst_signal_id,
        row_number() over (
            partition by facility_id
            order by worst_severity_score desc nulls last, metric_id asc
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
        signals.groupby_label,
        signals.group_value,
        signals.metric_trend_timeline,
        signals.peer_percentile_trends
    from facilities
    inner join signals on facilities.worst_signal_id = signals.signal_id
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
        chosen.groupby_label,
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
        ) as recency
    from chosen
    cross join
        jsonb_array_elements(chosen.metric_trend_timeline)
        with ordinality as timeline (item, place)
    where timeline.item ->> 'period' is not null

),

-- A run may name a month twice: the last word counts.
newest as (

    select
        months.*,
        row_number() over (partition by months.facility_id order by months.month desc)
            as months_back
    from months
    where months.recency = 1

),

numbers as (

    select
        newest.*,
        {{ json_number('metric_value') }} as metric_number,
        {{ json_number("peers -> 'p25'") }} as p25,
        {{ json_number("peers -> 'p50'") }} as p50,
        {{ json_number("peers -> 'p75'") }} as p75
    from newest
    where newest.months_back <= 60

),

final as (

    select
        facility_id,
        month,
        facility_name,
        metric_id,
        metric_name,
        groupby_label,
        group_value,
        metric_number as metric_value,
        case when p25 <= p50 and p50 <= p75 then p25 end as peers_p25,
        case when p25 <= p50 and p50 <= p75 then p50 end as peers_median,
        case when p25 <= p50 and p50 <= p75 then p75 end as peers_p75
    from numbers

)

select * from final
