with source as (

    select * from {{ source('raw', 'repository_contributors') }}

),

heads as (

    select * from {{ source('raw', 'repository_heads') }}

),

commits as (

    select * from {{ ref('stg_commits') }}

),

commit_dates as (

    select
        repository_id,
        contributor_id,
        min(commit_day) as first_commit_date,
        max(commit_day) as last_commit_date
    from commits
    where is_reachable and is_date_plausible
    group by repository_id, contributor_id

),

final as (

    select
        source.id as repository_contributor_id,
        source.repository_id,
        source.contributor_id,
        source.commit_count,
        commit_dates.first_commit_date,
        commit_dates.last_commit_date
    from source
    inner join heads on source.repository_id = heads.repository_id
    left join commit_dates
        on
            source.repository_id = commit_dates.repository_id
            and source.contributor_id = commit_dates.contributor_id
    where source.commit_count > 0

)

select * from final
