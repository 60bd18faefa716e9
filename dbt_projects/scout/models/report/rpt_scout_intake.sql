with verdicts as (

    select
        {{ week_of(business_day('ingested_at')) }} as week,
        'accepted' as verdict
    from {{ ref('silver_validated_transactions') }}

    union all

    select
        {{ week_of(business_day('ingested_at')) }} as week,
        case when rejection_reason = 'superseded' then 'superseded' else 'rejected' end as verdict
    from {{ ref('silver_rejected_transactions') }}

),

weekly as (

    select
        week,
        count(*) as payloads,
        count(case when verdict = 'accepted' then 1 end) as accepted,
        count(case when verdict = 'superseded' then 1 end) as superseded,
        count(case when verdict = 'rejected' then 1 end) as rejected
    from verdicts
    group by week

),

final as (

    select
        week,
        payloads,
        accepted,
        superseded,
        rejected,
        cast((accepted + superseded) as double precision) / nullif(payloads, 0)
            as sound_share,
        week + 7 <= {{ business_day_of_build() }} as is_complete_week
    from weekly
    where week > {{ week_of(as_of_date()) }} - 26 * 7

)

select * from final
