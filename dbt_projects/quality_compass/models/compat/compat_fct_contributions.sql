{{ config(alias='fct_contributions') }}

with contributions as (

    select * from {{ ref('fct_contributions') }}

),

contents as (

    select * from {{ source('raw', 'raw_runs') }}

),

final as (

    select
        contributions.contribution_id,
        contributions.run_id,
        contributions.recorded_at at time zone 'UTC' as record_timestamp,
        contributions.parent_node_id,
        contributions.child_node_id,
        contributions.parent_facility_id,
        contributions.parent_service_line,
        contributions.child_facility_id,
        contributions.child_service_line,
        contributions.child_sub_service_line,
        contributions.child_admission_status,
        contributions.child_discharge_status,
        contributions.child_payer as child_payer_segment,
        contributions.child_admission_source,
        contributions.metric_id,
        contributions.method as contribution_method,
        {{ as_decimal('contributions.child_value') }} as child_value,
        {{ as_decimal('contributions.parent_value') }} as parent_value,
        contributions.weight_field,
        {{ as_decimal('contributions.weight_value') }} as weight_value,
        {{ as_decimal('contributions.weight_share') }} as weight_share,
        {{ as_decimal('contributions.excess_over_parent') }} as excess_over_parent,
        {{ as_decimal('contributions.contribution_weight') }} as contribution_weight,
        contributions.contribution_direction,
        contributions.contribution_rank,
        {{ as_decimal('contributions.total_weight_share') }} as total_weight_share,
        contributions.weight_share_valid,
        {{ as_decimal('contributions.contribution_pct') }} as contribution_pct,
        contributions.facility_sk as parent_facility_sk,
        {{ foreign_key('contributions.child_facility_id') }} as child_facility_sk,
        contributions.metric_sk,
        contents.changed_at as loaded_at,
        contents.changed_at as dbt_updated_at
    from contributions
    left join contents on contributions.run_id = contents.run_id
    where contributions.run_id = {{ newest_run_of(ref('fct_contributions')) }}
)

select * from final
