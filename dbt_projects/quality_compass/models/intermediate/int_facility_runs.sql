{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table() }}",
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with entities as (

    select * from {{ ref('stg_entity_results') }}
    where {{ in_changed_runs('run_id', changed) }}

),

counted as (

    select
        *,
        count(*) over (partition by run_id, facility_id, system_name) as rows_of_system,
        count(*) over (partition by run_id, facility_id, service_line) as rows_of_service_line
    from entities
    where facility_id is not null

),

final as (

    select
        facility_id,
        run_id,
        run_version,
        max(encounters) as max_encounters,
        (
            array_agg(system_name order by rows_of_system desc, system_name asc)
            filter (where system_name is not null)
        )[1] as system_name,
        (
            array_agg(service_line order by rows_of_service_line desc, service_line asc)
            filter (where service_line is not null)
        )[1] as service_line
    from counted
    group by facility_id, run_id, run_version

)

select * from final
