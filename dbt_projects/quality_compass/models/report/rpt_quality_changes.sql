with signals as (

    select * from {{ ref('fct_signals') }}

),

facilities as (

    select * from {{ ref('dim_facilities') }}

),

runs as (

    select
        runs.run_id,
        row_number() over (order by runs.run_at desc, runs.run_id desc) as recency
    from {{ ref('stg_runs') }} as runs
    where exists (
            select 1 from signals
            where signals.run_id = runs.run_id
        )

),

latest as (

    select signals.*
    from signals
    inner join runs on signals.run_id = runs.run_id and runs.recency = 1

),

previous as (

    select signals.*
    from signals
    inner join runs on signals.run_id = runs.run_id and runs.recency = 2

),

paired as (

    select
        coalesce(latest.facility_id, previous.facility_id, '') as facility_id,
        coalesce(latest.metric_id, previous.metric_id) as metric_id,
        coalesce(latest.group_value, previous.group_value) as group_value,
        latest.signal_type,
        previous.signal_type as previous_signal_type,
        latest.severity_score,
        previous.severity_score as previous_severity_score,
        case
            when previous.signal_id is null then 'new'
            when latest.signal_id is null then 'gone'
            -- A severity of data that is not trusted compares with nothing.
            when
                (latest.signal_type = 'suspect_data') <> (previous.signal_type = 'suspect_data')
                then 'unclear'
            when latest.severity_score > previous.severity_score then 'worse'
            when latest.severity_score < previous.severity_score then 'better'
            else 'same'
        end as change
    from latest
    full outer join previous
        on
            latest.canonical_node_id = previous.canonical_node_id
            and latest.metric_id = previous.metric_id
            and latest.group_hash = previous.group_hash

),

placed as (

    select
        paired.*,
        row_number() over (
            partition by paired.change
            order by
                abs(
                    coalesce(paired.severity_score, 0)
                    - coalesce(paired.previous_severity_score, 0)
                ) desc,
                paired.severity_score desc nulls last,
                paired.facility_id asc,
                paired.metric_id asc,
                paired.group_value asc
        ) as place,
        count(*) over (partition by paired.change) as signals
    from paired

),

final as (

    select
        placed.change,
        placed.place,
        placed.signals,
        (
            select runs.run_id from runs
            where runs.recency = 1
        ) as run_id,
        (
            select runs.run_id from runs
            where runs.recency = 2
        ) as previous_run_id,
        placed.facility_id,
        facilities.facility_name,
        placed.metric_id,
        placed.group_value,
        placed.signal_type,
        placed.previous_signal_type,
        placed.severity_score,
        placed.previous_severity_score
    from placed
    left join facilities on placed.facility_id = facilities.facility_id
    where placed.place <= 15

)

select * from final
