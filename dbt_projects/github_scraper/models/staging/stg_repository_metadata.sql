with source as (

    select * from {{ source('raw', 'repository_metadata') }}

),

final as (

    select
        repository_id,
        name_with_owner,
        description,
        stars,
        forks,
        licence,
        primary_language,
        (
            select string_agg(listed.topic, ', ' order by listed.topic)
            from unnest(source.topics) as listed (topic)
        ) as topics,
        cast(languages as text) as languages,
        is_archived,
        is_fork,
        is_private,
        default_branch,
        updated_at
    from source

)

select * from final
