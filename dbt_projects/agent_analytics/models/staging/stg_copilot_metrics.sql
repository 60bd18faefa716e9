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
        100 * {{ shared.safe_divide('total_acceptances', 'total_suggestions') }}
            as acceptance_rate_pct
    from source

)

select * from final
