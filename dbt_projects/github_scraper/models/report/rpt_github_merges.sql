with merged as (

    select
        *,
        row_number() over (partition by identity_id order by merged_at desc, merge_id desc)
            as recency
    from {{ ref('stg_contributor_merges') }}

),

contributors as (

    select * from {{ ref('dim_contributor') }}

),

identities as (

    select * from {{ ref('stg_identities') }}

),

known as (

    select
        merged.identity_id,
        merged.contributor_id,
        merged.reason,
        merged.merged_at,
        contributors.kind,
        contributors.display_name,
        identities.identity_kind,
        identities.identity_name
    from merged
    inner join contributors on merged.contributor_id = contributors.contributor_id
    inner join identities on merged.identity_id = identities.identity_id
    where merged.recency = 1

),

totals as (

    select
        count(*) as identities,
        count(distinct contributor_id) as contributors,
        count(case when reason = 'same person by hand' then 1 end) as identities_by_hand
    from known

),

ranked as (

    select
        *,
        row_number() over (order by merged_at desc, identity_id desc) as place
    from known

),

final as (

    select
        ranked.identity_id,
        ranked.place,
        ranked.contributor_id,
        ranked.kind,
        ranked.display_name,
        ranked.identity_kind,
        ranked.identity_name,
        ranked.reason,
        ranked.merged_at,
        totals.identities,
        totals.contributors,
        totals.identities_by_hand
    from ranked
    cross join totals
    where ranked.place <= 200

)

select * from final
