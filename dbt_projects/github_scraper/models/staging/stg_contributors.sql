with source as (

    select * from {{ source('raw', 'contributors') }}

),

final as (

    select
        id as contributor_id,
        identity_key,
        username,
        email,
        coalesce(
            nullif(display_name, ''),
            username,
            nullif({{ shared.split_part('email', '@', 1) }}, ''),
            identity_key
        ) as display_name,
        nullif({{ shared.split_part('lower(email)', '@', 2) }}, '') as email_domain,
        profile_url,
        coalesce(lower(email) like '%@users.noreply.github.com', false) as is_noreply,
        (
            coalesce(account_type = 'Bot', false)
            or {{ is_bot('username', 'email', 'display_name') }}
        ) as is_bot,
        created_at,
        updated_at
    from source
    where merged_into is null

)

select * from final
