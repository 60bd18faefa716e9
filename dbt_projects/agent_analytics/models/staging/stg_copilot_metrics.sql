with source as (

    select * from {{ source('raw', 'copilot_metrics') }}

),

final as (

    select
        date as metric_date,
        lower(developer_id) as developer_id,
        total_suggestions,
        total_acceptances,
        total_lines_suggested,
        total_lines_accepted,
        total_active_users,
        language_breakdown,
        ai_credits,
        coalesce(cli_requests, 0) as cli_requests,
        coalesce(cli_prompt_tokens, 0) as cli_prompt_tokens,
        coalesce(cli_output_tokens, 0) as cli_output_tokens,
        coalesce(app_requests, 0) as app_requests,
        coalesce(app_prompt_tokens, 0) as app_prompt_tokens,
        coalesce(app_output_tokens, 0) as app_output_tokens,
        100 * {{ shared.safe_divide('total_acceptances', 'total_suggestions') }}
            as acceptance_rate_pct
    from source

)

select * from final
