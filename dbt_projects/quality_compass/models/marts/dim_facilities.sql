{{ config(post_hook="{{ analyze_table() }}") }}

with runs as (

    select * from {{ ref('stg_runs') }}

),

reference as (

    select * from {{ ref('ref_facilities') }}

),

per_run as (

    select * from {{ ref('int_facility_runs') }}

),

facilities as (

    select
        per_run.facility_id,
        (
            array_agg(per_run.system_name order by runs.run_at desc, per_run.run_id desc)
            filter (where per_run.system_name is not null)
        )[1] as system_name,
        (
            array_agg(per_run.service_line order by runs.run_at desc, per_run.run_id desc)
            filter (where per_run.service_line is not null)
        )[1] as service_line,
        max(per_run.max_encounters) as max_encounters,
        min(runs.run_at) as first_seen_at,
        max(runs.run_at) as last_seen_at,
        count(*) as runs_seen
    from per_run
    inner join runs on per_run.run_id = runs.run_id
    group by per_run.facility_id

),

final as (

    select
        {{ surrogate_key(['facilities.facility_id']) }} as facility_sk,
        facilities.facility_id,
        coalesce(cast(reference.facility_name as text), facilities.facility_id) as facility_name,
        cast(reference.facility_type as text) as facility_type,
        coalesce(cast(reference.health_system as text), facilities.system_name) as health_system,
        cast(reference.region as text) as region,
        cast(reference.state as text) as state,
        reference.bed_count,
        facilities.system_name,
        facilities.service_line,
        facilities.max_encounters,
        facilities.first_seen_at,
        facilities.last_seen_at,
        facilities.runs_seen,
        reference.facility_id is not null as is_in_reference
    from facilities
    left join reference on facilities.facility_id = reference.facility_id

)

select * from final
