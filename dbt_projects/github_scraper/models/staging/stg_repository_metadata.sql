with source as (

    select * from {{ source('raw', 'repository_metadata') }}

),

final as (

    select
        source.repository_id,
        source.name_with_owner,
        source.description,
        source.stars,
        source.forks,
        source.licence,
        source.primary_language,
        {{ topic_list('source.topics') }} as topics,
        {{ shared.text('languages') }} as languages,
        source.is_archived,
        source.is_fork,
        source.is_private,
        source.default_branch,
        source.updated_at
    from source

)

select * from final
