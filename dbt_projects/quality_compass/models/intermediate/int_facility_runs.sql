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

final as (

    select
        facility_id,
        run_id,
        run_version,
        max(encounters) as max_encounters,
        min(system_name) as system_name,
        min(service_line) as service_line
    from entities
    where facility_id is not null
    group by facility_id, run_id, run_version

)

select * from final
