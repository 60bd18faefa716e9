{{ config(alias='dim_facilities') }}

with facilities as (

    select * from {{ ref('dim_facilities') }}

),

updated as (

    select max(changed_at) as changed_at from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        facilities.facility_sk,
        facilities.facility_id,
        facilities.facility_name,
        facilities.facility_type,
        facilities.system_name,
        facilities.health_system,
        facilities.region,
        facilities.state,
        facilities.bed_count,
        facilities.service_line as primary_service_line,
        facilities.max_encounters as total_encounters,
        facilities.first_seen_at,
        facilities.last_seen_at,
        updated.changed_at as dbt_updated_at
    from facilities
    cross join updated

)

select * from final
