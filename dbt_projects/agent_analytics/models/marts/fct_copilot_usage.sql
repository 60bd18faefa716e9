with copilot as (

    select * from {{ ref('stg_copilot_metrics') }}

),

names as (

    select * from {{ ref('int_developer_names') }}

),

final as (

    select
        copilot.metric_date as date,
        coalesce(names.developer_id, copilot.developer_id) as developer_id,
        cast(sum(copilot.total_suggestions) as bigint) as total_suggestions,
        cast(sum(copilot.total_acceptances) as bigint) as total_acceptances,
        cast(sum(copilot.total_lines_suggested) as bigint) as total_lines_suggested,
        cast(sum(copilot.total_lines_accepted) as bigint) as total_lines_accepted,
        sum(copilot.ai_credits) as ai_credits,
        cast(sum(copilot.cli_requests) as bigint) as cli_requests,
        cast(sum(copilot.cli_prompt_tokens) as bigint) as cli_prompt_tokens,
        cast(sum(copilot.cli_output_tokens) as bigint) as cli_output_tokens,
        cast(sum(copilot.app_requests) as bigint) as app_requests,
        cast(sum(copilot.app_prompt_tokens) as bigint) as app_prompt_tokens,
        cast(sum(copilot.app_output_tokens) as bigint) as app_output_tokens,
        100 * {{ shared.safe_divide(
            'sum(copilot.total_acceptances)', 'sum(copilot.total_suggestions)'
        ) }} as acceptance_rate_pct
    from copilot
    left join names on copilot.developer_id = names.name
    group by copilot.metric_date, coalesce(names.developer_id, copilot.developer_id)

)

select * from final
