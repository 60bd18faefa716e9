with contributors as (

    select * from {{ ref('stg_contributors') }}

),

metrics as (

    select * from {{ ref('int_contributor_metrics') }}

),

final as (

    select
        {{ shared.md5_hex(
            "'contributor|' || " ~ shared.text('contributors.contributor_id')
        ) }} as contributor_key,
        contributors.contributor_id,
        contributors.username,
        contributors.display_name,
        contributors.email_domain,
        contributors.profile_url,
        contributors.is_noreply,
        contributors.kind,
        contributors.is_bot,
        contributors.is_agent,
        metrics.first_commit_date,
        metrics.last_commit_date,
        contributors.created_at
    from contributors
    inner join metrics on contributors.contributor_id = metrics.contributor_id

)

select * from final
