with source as (

    select * from {{ source('raw', 'commit_coauthors') }}

),

final as (

    select distinct
        repository_id,
        commit_hash,
        contributor_id
    from source

)

select * from final
