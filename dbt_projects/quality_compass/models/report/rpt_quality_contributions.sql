with contributions as (

    select * from {{ ref('fct_contributions') }}
    where raw_component is not null and parent_value is not null

),

cells as (

    select * from {{ ref('rpt_quality_facilities') }}

),

found as (

    select
        cells.facility_name,
        cells.metric_name,
        contributions.*,
        dense_rank() over (
            order by
                cells.facility_place asc,
                cells.worst_severity_score desc nulls last,
                cells.metric_id asc,
                contributions.parent_service_line asc nulls first,
                contributions.parent_node_id asc,
                contributions.child_node_id asc,
                contributions.parent_value desc
        ) as parent_place
    from cells
    inner join contributions
        on
            cells.run_id = contributions.run_id
            and cells.facility_id = contributions.parent_facility_id
            and cells.metric_id = contributions.metric_id

),

ranked as (

    select
        *,
        row_number() over (order by abs(raw_component) desc, contribution_id asc) as place,
        count(*) over () as children
    from found
    where parent_place = 1

),

final as (

    select
        contribution_id,
        place,
        children,
        run_id,
        parent_facility_id as facility_id,
        facility_name,
        metric_id,
        metric_name,
        parent_service_line,
        child_groupby_label,
        child_group_value,
        weight_field,
        weight_share,
        child_value,
        raw_component,
        excess_over_parent,
        parent_value
    from ranked
    where place <= 200

)

select * from final
