-- Of each facility above its peers: which group pushes it up most?
with pushing as (

    select distinct on (parent_node_id, parent_facility_id, metric_id, child_node_id)
        run_id,
        parent_facility_id,
        metric_id,
        child_group_value,
        excess_over_parent,
        contribution_pct
    from {{ ref('fct_contributions') }}
    where
        run_id = {{ newest_run_of(ref('fct_contributions')) }}
        and contribution_direction = 'positive'
    order by
        parent_node_id asc,
        parent_facility_id asc,
        metric_id asc,
        child_node_id asc,
        contribution_rank asc

)

select * from pushing
order by excess_over_parent desc nulls last
limit 20
