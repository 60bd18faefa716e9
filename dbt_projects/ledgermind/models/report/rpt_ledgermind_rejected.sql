with rejected as (

    select * from {{ ref('mart_rejected_rows') }}

),

final as (

    select
        source_table,
        reason,
        count(*) as rejected_rows
    from rejected
    group by source_table, reason

)

select * from final
