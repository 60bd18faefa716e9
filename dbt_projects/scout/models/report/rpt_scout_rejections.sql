with rejected as (

    select * from {{ ref('silver_rejected_transactions') }}

),

accepted as (

    select count(*) as payloads from {{ ref('silver_validated_transactions') }}

),

counted as (

    select
        rejection_reason,
        count(*) as payloads,
        max(ingested_at) as newest_ingested_at
    from rejected
    group by rejection_reason

),

judged as (

    select coalesce(sum(counted.payloads), 0) + max(accepted.payloads) as payloads
    from accepted
    left join counted on true

),

final as (

    select
        counted.rejection_reason,
        counted.payloads,
        cast(judged.payloads as bigint) as judged_payloads,
        cast(counted.payloads / nullif(judged.payloads, 0) as double precision)
            as share_of_judged,
        counted.newest_ingested_at
    from counted
    cross join judged

)

select * from final
