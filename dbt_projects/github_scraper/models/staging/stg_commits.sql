with source as (

    select
        id,
        repository_id,
        contributor_id,
        identity_id,
        commit_hash,
        commit_date,
        committed_at,
        commit_message,
        parent_hashes,
        is_date_clamped,
        lines_added,
        lines_added_vendored,
        lines_added_generated,
        lines_added_locked,
        lines_deleted,
        lines_deleted_vendored,
        lines_deleted_generated,
        lines_deleted_locked,
        files_changed,
        orphaned_at,
        created_at,
        updated_at,
        {{ subject('commit_message') }} as commit_subject,
        {{ utc_day('commit_date') }} as commit_day
    from {{ source('raw', 'commits') }}
    where source <> 'application'

),

final as (

    select
        id as commit_id,
        repository_id,
        contributor_id,
        identity_id,
        commit_hash,
        commit_date,
        committed_at,
        commit_day,
        {{ shared.week_floor('commit_day') }} as commit_week,
        {{ shared.month_floor('commit_day') }} as commit_month,
        commit_message as message,
        commit_subject,
        {{ commit_type('commit_subject') }} as commit_type,
        {{ commit_scope('commit_subject') }} as commit_scope,
        {{ is_breaking('commit_subject', 'commit_message') }} as is_breaking,
        {{ is_merge('parent_hashes') }} as is_merge,
        {{ is_date_plausible('commit_date', 'is_date_clamped', 'created_at') }}
            as is_date_plausible,
        orphaned_at is null as is_reachable,
        lines_added,
        lines_deleted,
        lines_added - lines_added_vendored - lines_added_generated - lines_added_locked
            as counted_lines_added,
        lines_deleted - lines_deleted_vendored - lines_deleted_generated - lines_deleted_locked
            as counted_lines_deleted,
        files_changed,
        orphaned_at,
        created_at,
        updated_at
    from source

)

select * from final
