with source as (

    select * from {{ source('raw', 'repositories') }}

),

located as (

    select
        *,
        regexp_replace(rtrim(url, '/'), '\.git$', '') as trimmed_url,
        url ~ '^(https?|ssh|git)://|^[^/@]+@[^/:]+:' as has_host
    from source

),

final as (

    select
        id as repository_id,
        url,
        case
            when has_host then nullif(substring(trimmed_url from '[/:]([^/:]+)/[^/]+$'), '')
        end as owner,
        nullif(substring(trimmed_url from '([^/:]+)$'), '') as repo_name,
        state,
        error_message,
        is_empty,
        missing_since,
        last_attempt_at,
        last_processed_at,
        created_at,
        updated_at
    from located

)

select * from final
