with source as (

    select * from {{ source('raw', 'repositories') }}

),

located as (

    select
        id,
        url,
        state,
        error_message,
        is_empty,
        missing_since,
        paused_at,
        retired_at,
        retired_because,
        last_attempt_at,
        last_processed_at,
        created_at,
        updated_at,
        regexp_replace(rtrim(url, '/'), '[.]git$', '') as trimmed_url,
        {{ shared.matches('url', '^(https?|ssh|git)://|^[^/@]+@[^/:]+:') }} as has_host
    from source

),

final as (

    select
        id as repository_id,
        url,
        case
            when has_host
                then nullif({{ shared.first_match('trimmed_url', '[/:]([^/:]+)/[^/]+$') }}, '')
        end as owner,
        nullif({{ shared.first_match('trimmed_url', '([^/:]+)$') }}, '') as repo_name,
        case
            when {{ shared.text('state') }} like '%_processing' then 'in_progress'
            else {{ shared.text('state') }}
        end as state,
        error_message,
        is_empty,
        missing_since,
        paused_at,
        retired_at,
        retired_because,
        last_attempt_at,
        last_processed_at,
        created_at,
        updated_at
    from located

)

select * from final
