with repositories as (

    select * from {{ ref('stg_repositories') }}

),

metadata as (

    select * from {{ ref('stg_repository_metadata') }}

),

heads as (

    select * from {{ source('raw', 'repository_heads') }}

),

metrics as (

    select * from {{ ref('int_repository_metrics') }}

),

final as (

    select
        {{ shared.md5_hex(
            "'repository|' || " ~ shared.text('repositories.repository_id')
        ) }} as repository_key,
        repositories.repository_id,
        repositories.url,
        repositories.owner,
        repositories.repo_name,
        repositories.state,
        repositories.is_empty,
        repositories.missing_since,
        repositories.paused_at,
        repositories.retired_at,
        repositories.retired_because,
        coalesce({{ is_shallow('heads.shallow_boundary') }}, false) as is_shallow,
        metadata.stars,
        metadata.forks,
        metadata.licence,
        metadata.primary_language,
        metadata.topics,
        metadata.is_archived,
        metadata.is_fork,
        metrics.first_commit_date,
        metrics.last_commit_date,
        repositories.last_attempt_at,
        repositories.last_processed_at,
        repositories.created_at
    from repositories
    inner join metrics on repositories.repository_id = metrics.repository_id
    left join heads on repositories.repository_id = heads.repository_id
    left join metadata on repositories.repository_id = metadata.repository_id

)

select * from final
