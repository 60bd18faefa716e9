with source as (

    select * from {{ source('raw', 'contributor_merges') }}

),

final as (

    select
        id as merge_id,
        contributor_id as identity_id,
        merged_into as contributor_id,
        case
            when rule like 'same GitHub account %' then 'same GitHub account'
            else rule
        end as reason,
        merged_at
    from source
    where ended_at is null and reverted_at is null

)

select * from final
