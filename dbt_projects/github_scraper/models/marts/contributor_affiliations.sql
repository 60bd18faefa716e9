with commits as (

    select * from {{ ref('int_commits') }}

),

identities as (

    select * from {{ ref('stg_identities') }}

),

organization_domains as (

    select * from {{ ref('stg_organization_domains') }}

),

daily as (

    select
        commits.repository_id,
        commits.contributor_id,
        identities.email_domain,
        commits.commit_day,
        commits.is_date_plausible,
        count(*) as commits,
        count(case when commits.is_first_copy then 1 end) as first_copies
    from commits
    inner join identities on commits.identity_id = identities.identity_id
    group by
        commits.repository_id,
        commits.contributor_id,
        identities.email_domain,
        commits.commit_day,
        commits.is_date_plausible

),

domains as (

    select distinct email_domain
    from daily
    where email_domain is not null

),

dated as (

    select distinct
        email_domain,
        commit_day,
        is_date_plausible
    from daily
    where email_domain is not null

),

-- A domain holds for all below it.
candidates as (

    select
        domains.email_domain,
        organization_domains.*
    from domains
    inner join organization_domains
        on
            domains.email_domain = organization_domains.domain
            or right(domains.email_domain, length(organization_domains.domain) + 1)
            = '.' || organization_domains.domain

),

-- The longest domain decides, then what holds since the latest day. A date that cannot be believed
-- lies in no time that has a beginning or an end.
placed as (

    select
        dated.email_domain,
        dated.commit_day,
        dated.is_date_plausible,
        candidates.organization,
        row_number() over (
            partition by dated.email_domain, dated.commit_day, dated.is_date_plausible
            order by
                length(candidates.domain) desc,
                case when candidates.valid_from is null then 1 else 0 end asc,
                candidates.valid_from desc,
                candidates.organization_domain_id desc
        ) as place
    from dated
    inner join candidates
        on
            dated.email_domain = candidates.email_domain
            and (
                candidates.valid_from is null
                or (dated.is_date_plausible and dated.commit_day >= candidates.valid_from)
            )
            and (
                candidates.valid_to is null
                or (dated.is_date_plausible and dated.commit_day < candidates.valid_to)
            )

),

affiliated as (

    select
        daily.repository_id,
        daily.contributor_id,
        placed.organization,
        cast(sum(daily.commits) as bigint) as commits,
        cast(sum(daily.first_copies) as bigint) as distinct_commits,
        min(case when daily.is_date_plausible then daily.commit_day end) as first_commit_date,
        max(case when daily.is_date_plausible then daily.commit_day end) as last_commit_date
    from daily
    left join placed
        on
            daily.email_domain = placed.email_domain
            and daily.commit_day = placed.commit_day
            and daily.is_date_plausible = placed.is_date_plausible
            and placed.place = 1
    group by daily.repository_id, daily.contributor_id, placed.organization

),

final as (

    select
        {{ shared.md5_hex(
            shared.text('repository_id') ~ " || '|' || " ~ shared.text('contributor_id')
            ~ " || '|' || coalesce(organization, '')"
        ) }} as affiliation_id,
        repository_id,
        contributor_id,
        organization,
        commits,
        distinct_commits,
        first_commit_date,
        last_commit_date
    from affiliated

)

select * from final
