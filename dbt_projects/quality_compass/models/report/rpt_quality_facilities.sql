with signals as (

    select * from {{ ref('fct_signals') }}

),

runs as (

    select * from {{ ref('stg_runs') }}

),

facilities as (

    select * from {{ ref('dim_facilities') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

latest_run as (

    select
        runs.run_id,
        runs.run_at
    from runs
    where
        exists (
            select 1 from signals
            where signals.run_id = runs.run_id
        )
    order by runs.is_shown desc, runs.run_at desc, runs.run_id desc
    limit 1

),

newer as (

    select count(*) as newer_silent_runs
    from runs
    inner join latest_run on runs.run_at > latest_run.run_at
    where runs.is_shown

),

latest as (

    select
        signals.*,
        row_number() over (
            partition by signals.facility_sk, signals.metric_sk
            order by
                signals.severity_score desc nulls last,
                signals.group_value asc,
                signals.signal_id asc
        ) as recency
    from signals
    inner join latest_run on signals.run_id = latest_run.run_id
    where
        signals.is_favorable is distinct from true
        and signals.signal_type is distinct from 'suspect_data'
        and signals.facility_sk is not null
        and signals.metric_sk is not null

),

cells as (

    select
        run_id,
        facility_sk,
        metric_sk,
        max(detected_date) as detected_date,
        count(*) as signals,
        count(case when severity in ('Critical', 'High') then 1 end) as actionable_signals,
        max(severity_score) as worst_severity_score,
        max(case when recency = 1 then severity end) as worst_severity,
        max(case when recency = 1 then signal_type end) as worst_signal_type,
        max(case when recency = 1 then groupby_label end) as worst_groupby_label,
        max(case when recency = 1 then group_value end) as worst_group,
        max(case when recency = 1 then signal_id end) as worst_signal_id
    from latest
    group by run_id, facility_sk, metric_sk

),

ranked as (

    select
        facility_sk,
        row_number() over (
            order by
                max(worst_severity_score) desc nulls last,
                sum(actionable_signals) desc,
                facility_sk asc
        ) as facility_place
    from cells
    group by facility_sk

),

-- Of all facilities, those beyond the last place included.
totals as (

    select
        count(distinct facility_sk) as facilities_with_signals,
        count(distinct case when actionable_signals > 0 then facility_sk end)
            as actionable_facilities,
        count(*) as pairs_with_signals,
        count(case when worst_severity_score >= 80 then 1 end) as severe_pairs
    from cells

),

final as (

    select
        cells.run_id,
        cells.detected_date,
        ranked.facility_place,
        totals.facilities_with_signals,
        totals.actionable_facilities,
        totals.pairs_with_signals,
        totals.severe_pairs,
        newer.newer_silent_runs,
        coalesce(facilities.facility_id, '') as facility_id,
        facilities.facility_name,
        coalesce(metrics.metric_id, '') as metric_id,
        metrics.metric_name,
        cells.signals,
        cells.actionable_signals,
        cells.worst_severity_score,
        cells.worst_severity,
        cells.worst_signal_type,
        cells.worst_groupby_label,
        cells.worst_group,
        cells.worst_signal_id
    from cells
    inner join ranked on cells.facility_sk = ranked.facility_sk
    cross join totals
    cross join newer
    left join facilities on cells.facility_sk = facilities.facility_sk
    left join metrics on cells.metric_sk = metrics.metric_sk
    where ranked.facility_place <= 40

)

select * from final
