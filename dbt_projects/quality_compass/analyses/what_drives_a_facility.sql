-- Of each facility above its peers: which group pushes it up most?
select
    contributions.run_id,
    contributions.parent_facility_id,
    contributions.metric_id,
    contributions.child_group_value,
    contributions.excess_over_parent,
    contributions.contribution_pct
from {{ ref('fct_contributions') }} as contributions
inner join {{ ref('stg_runs') }} as runs on contributions.run_id = runs.run_id
where
    runs.is_latest
    and contributions.contribution_direction = 'positive'
    and contributions.contribution_rank = 1
order by contributions.excess_over_parent desc
limit 20
