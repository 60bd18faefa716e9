{{ config(meta={'is_braked': false}) }}

with contributors as (

    select * from {{ ref('stg_contributors') }}

),

metrics as (

    select * from {{ ref('int_contributor_metrics') }}

),

final as (

    select
        contributors.contributor_id,
        contributors.kind,
        contributors.matched_by,
        contributors.username,
        contributors.display_name,
        contributors.email_domain,
        metrics.total_commits,
        metrics.coauthored_commits,
        metrics.last_commit_date
    from contributors
    inner join metrics on contributors.contributor_id = metrics.contributor_id
    where contributors.matched_by is not null

)

select * from final
