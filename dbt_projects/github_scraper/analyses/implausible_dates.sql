-- Commits that count in totals but are left out of windows and series, with the reason to look for.
select
    repository_id,
    commit_hash,
    commit_date,
    committed_at,
    created_at
from {{ ref('stg_commits') }}
where is_reachable and not is_date_plausible
order by repository_id, commit_date
