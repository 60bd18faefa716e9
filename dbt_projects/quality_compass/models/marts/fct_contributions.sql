{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table([
            'run_id', 'metric_id', 'parent_node_id', 'parent_facility_id', 'child_service_line',
            'contribution_direction', 'detected_date',
        ]) }}",
        indexes=[
            {'columns': ['run_id']},
            {'columns': ['parent_facility_id', 'metric_id']},
        ],
    )
}}

{%- set changed = changed_run_ids() -%}

with runs as (

    select * from {{ ref('stg_runs') }}

),

contributions as (

    select * from {{ ref('stg_contributions') }}
    where {{ in_changed_runs('run_id', changed) }}

),

ranked as (

    select
        *,
        row_number() over (
            partition by run_id, metric_id, parent_node_id, child_node_id, parent_entity_hash
            order by
                contribution_weight desc nulls last,
                weight_share desc nulls last,
                contribution_id asc
        ) as contribution_rank,
        sum(weight_share) over same_parent as total_weight_share,
        sum(excess_over_parent) over same_parent as total_excess_over_parent
    from contributions
    -- In a fixed order: sums of floats depend on it in their last digits.
    window
        same_parent as (
            partition by run_id, metric_id, parent_node_id, child_node_id, parent_entity_hash
            order by contribution_id
            rows between unbounded preceding and unbounded following
        )

),

final as (

    select
        ranked.contribution_id,
        ranked.run_id,
        ranked.run_version,
        runs.run_at as detected_at,
        cast(runs.run_at at time zone 'UTC' as date) as detected_date,
        ranked.parent_node_id,
        ranked.child_node_id,
        ranked.metric_id,
        {{ surrogate_key(['ranked.metric_id']) }} as metric_sk,
        ranked.parent_facility_id,
        {{ foreign_key('ranked.parent_facility_id') }} as facility_sk,
        ranked.parent_service_line,
        ranked.child_facility_id,
        ranked.child_service_line,
        ranked.child_sub_service_line,
        ranked.child_admission_source,
        ranked.child_discharge_status,
        ranked.child_payer,
        ranked.child_admission_status,
        ranked.recorded_at,
        {{ compute_groupby_label('ranked.child_entity') }} as child_groupby_label,
        {{ compute_group_value('ranked.child_entity') }} as child_group_value,
        ranked.method,
        ranked.weight_field,
        ranked.child_value,
        ranked.parent_value,
        ranked.weight_value,
        ranked.weight_share,
        ranked.raw_component,
        ranked.excess_over_parent,
        ranked.contribution_weight,
        ranked.contribution_direction,
        ranked.contribution_rank,
        ranked.total_weight_share,
        coalesce(
            abs(ranked.total_weight_share - 1) <= {{ var('weight_share_tolerance') }}, false
        ) as weight_share_valid,
        {{ rounded(
            shared.safe_divide('ranked.weight_share', 'ranked.total_weight_share') ~ ' * 100', 2
        ) }}
            as contribution_pct,
        ranked.total_excess_over_parent
    from ranked
    inner join runs on ranked.run_id = runs.run_id

)

select * from final
