with repositories as (

    select * from {{ ref('stg_repositories') }}

),

metrics as (

    select * from {{ ref('int_repository_metrics') }}

),

final as (

    select
        md5('repository|' || repositories.repository_id) as repository_key,
        repositories.repository_id,
        repositories.url,
        repositories.owner,
        repositories.repo_name,
        repositories.state,
        repositories.is_empty,
        metrics.first_commit_date,
        metrics.last_commit_date,
        repositories.last_attempt_at,
        repositories.last_processed_at,
        repositories.created_at
    from repositories
    inner join metrics on repositories.repository_id = metrics.repository_id

)

select * from final
