with contributors as (

    select * from {{ ref('stg_contributors') }}

),

commits as (

    select * from {{ ref('int_commits') }}

),

coauthored as (

    select * from {{ ref('int_coauthored_commits') }}

),

authored_metrics as (

    select
        contributor_id,
        count(distinct repository_id) as repositories_contributed_to,
        count(*) as commits_in_all_copies,
        count(case when is_first_copy then 1 end) as total_commits,
        count(case when is_first_copy and is_merge then 1 end) as merge_commits,
        count(case when is_first_copy and not is_date_plausible then 1 end)
            as commits_with_implausible_date,
        count(case when is_first_copy and is_without_line_counts then 1 end)
            as commits_without_line_counts,
        count(case when is_first_copy and is_without_file_classes then 1 end)
            as commits_without_file_classes,
        sum(case when is_first_copy then lines_added end) as lines_added,
        sum(case when is_first_copy then lines_deleted end) as lines_deleted,
        sum(case when is_first_copy then counted_lines_added end) as counted_lines_added,
        sum(case when is_first_copy then counted_lines_deleted end) as counted_lines_deleted,
        count(distinct case when is_date_plausible then commit_day end) as active_days,
        min(case when is_date_plausible then commit_day end) as first_commit_date,
        max(case when is_date_plausible then commit_day end) as last_commit_date
    from commits
    group by contributor_id

),

coauthored_metrics as (

    select
        contributor_id,
        count(case when is_first_copy then 1 end) as coauthored_commits
    from coauthored
    group by contributor_id

),

final as (

    select
        contributors.contributor_id,
        coalesce(authored.repositories_contributed_to, 0) as repositories_contributed_to,
        coalesce(authored.total_commits, 0) as total_commits,
        coalesce(authored.commits_in_all_copies, 0) as commits_in_all_copies,
        {{ shared.safe_divide(
            'authored.commits_in_all_copies', 'authored.repositories_contributed_to'
        ) }} as avg_commits_per_repo,
        coalesce(authored.merge_commits, 0) as merge_commits,
        coalesce(coauthored_metrics.coauthored_commits, 0) as coauthored_commits,
        coalesce(authored.commits_with_implausible_date, 0) as commits_with_implausible_date,
        coalesce(authored.commits_without_line_counts, 0) as commits_without_line_counts,
        cast(authored.lines_added as bigint) as lines_added,
        cast(authored.lines_deleted as bigint) as lines_deleted,
        cast(authored.counted_lines_added as bigint) as counted_lines_added,
        cast(authored.counted_lines_deleted as bigint) as counted_lines_deleted,
        coalesce(authored.commits_without_file_classes, 0) as commits_without_file_classes,
        coalesce(authored.active_days, 0) as active_days,
        authored.first_commit_date,
        authored.last_commit_date
    from contributors
    left join authored_metrics as authored
        on contributors.contributor_id = authored.contributor_id
    left join coauthored_metrics
        on contributors.contributor_id = coauthored_metrics.contributor_id
    where
        authored.contributor_id is not null
        or coauthored_metrics.contributor_id is not null

)

select * from final
