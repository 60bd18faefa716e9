{{
    config(
        partition_by=by_commit_day(),
        cluster_by=['repository_id'],
    )
}}

with coauthors as (

    select * from {{ ref('stg_commit_coauthors') }}

),

commits as (

    select * from {{ ref('int_commits') }}

),

contributors as (

    select * from {{ ref('stg_contributors') }}

),

final as (

    select
        commits.repository_id,
        commits.commit_hash,
        coauthors.contributor_id,
        contributors.is_agent,
        commits.commit_day,
        commits.is_date_plausible,
        commits.is_first_copy
    from coauthors
    inner join commits
        on
            coauthors.repository_id = commits.repository_id
            and coauthors.commit_hash = commits.commit_hash
    inner join contributors on coauthors.contributor_id = contributors.contributor_id
    where coauthors.contributor_id <> commits.contributor_id

)

select * from final
