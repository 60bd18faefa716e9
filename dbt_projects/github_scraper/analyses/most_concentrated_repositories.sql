-- Active repositories that would lose half of their work with one or two people.
select
    url,
    bus_factor,
    gini_coefficient,
    human_contributors,
    commits_90d
from {{ ref('repository_summary') }}
where bus_factor <= 2 and human_contributors >= 5 and commits_90d > 0
order by gini_coefficient desc
