with signals as (

    select * from {{ ref('fct_signals') }}

),

facilities as (

    select * from {{ ref('dim_facilities') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

runs as (

    select
        runs.run_id,
        runs.run_set,
        runs.run_at,
        row_number() over (order by runs.is_shown desc, runs.run_at desc, runs.run_id desc)
            as recency
    from {{ ref('stg_runs') }} as runs
    where exists (
            select 1 from signals
            where signals.run_id = runs.run_id
        )

),

newest as (

    select * from runs
    where recency = 1

),

-- Of the same set: runs of two sets are of different things.
compared as (

    select
        newest.run_id,
        newest.run_set,
        (
            select former.run_id from runs as former
            where former.recency > 1 and former.run_set is not distinct from newest.run_set
            order by former.recency asc
            limit 1
        ) as previous_run_id,
        (
            select count(distinct coalesce(others.run_set, '')) from runs as others
            where others.run_set is distinct from newest.run_set
        ) as other_sets
    from newest

),

latest as (

    select signals.*
    from signals
    inner join compared on signals.run_id = compared.run_id

),

previous as (

    select signals.*
    from signals
    inner join compared on signals.run_id = compared.previous_run_id

),

paired as (

    select
        latest.signal_id,
        previous.signal_id as previous_signal_id,
        coalesce(latest.facility_id, previous.facility_id, '') as facility_id,
        coalesce(latest.metric_id, previous.metric_id) as metric_id,
        coalesce(latest.groupby_label, previous.groupby_label) as groupby_label,
        coalesce(latest.group_value, previous.group_value) as group_value,
        latest.signal_type,
        previous.signal_type as previous_signal_type,
        latest.severity_score,
        previous.severity_score as previous_severity_score,
        latest.is_favorable,
        previous.is_favorable as was_favorable
    from latest
    full outer join previous
        on
            latest.canonical_node_id = previous.canonical_node_id
            and latest.metric_id = previous.metric_id
            and latest.group_hash = previous.group_hash

),

judged as (

    select
        paired.*,
        case
            when paired.previous_signal_id is null then 'new'
            when paired.signal_id is null then 'gone'
            -- A severity of data that is not trusted compares with nothing.
            when
                (paired.signal_type = 'suspect_data')
                <> (paired.previous_signal_type = 'suspect_data')
                then 'unclear'
            when paired.severity_score is null or paired.previous_severity_score is null
                then 'unclear'
            when paired.severity_score = paired.previous_severity_score then 'same'
            -- The score rises with the value, also of a metric of which more is better.
            when coalesce(metrics.direction_preference, '') <> 'lower' then 'unclear'
            when paired.severity_score > paired.previous_severity_score
                then case when paired.is_favorable then 'unclear' else 'worse' end
            when not paired.is_favorable and coalesce(paired.was_favorable, true) then 'unclear'
            else 'better'
        end as change
    from paired
    left join metrics on paired.metric_id = metrics.metric_id

),

placed as (

    select
        judged.*,
        row_number() over (
            partition by judged.change
            order by
                abs(
                    coalesce(judged.severity_score, 0)
                    - coalesce(judged.previous_severity_score, 0)
                ) desc,
                judged.severity_score desc nulls last,
                judged.facility_id asc,
                judged.metric_id asc,
                judged.group_value asc
        ) as place,
        count(*) over (partition by judged.change) as signals
    from judged

),

final as (

    select
        placed.change,
        placed.place,
        placed.signals,
        compared.run_id,
        compared.previous_run_id,
        compared.run_set,
        compared.other_sets,
        placed.facility_id,
        facilities.facility_name,
        placed.metric_id,
        placed.groupby_label,
        placed.group_value,
        placed.signal_type,
        placed.previous_signal_type,
        placed.severity_score,
        placed.previous_severity_score
    from placed
    cross join compared
    left join facilities on placed.facility_id = facilities.facility_id
    where placed.place <= 15

)

select * from final
