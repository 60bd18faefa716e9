{{ config(severity='warn') }}

-- A run that names several systems for a facility: the one of most results counts.
select
    run_id,
    facility_id,
    array_agg(distinct system_name) as system_names
from {{ ref('stg_entity_results') }}
where facility_id is not null and system_name is not null
group by run_id, facility_id
having count(distinct system_name) > 1
