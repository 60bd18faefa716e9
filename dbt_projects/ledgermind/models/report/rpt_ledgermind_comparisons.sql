with comparisons as (

    select
        *,
        row_number() over (partition by comparison order by created_date desc) as recency
    from {{ ref('mart_ab_comparison') }}

),

final as (

    select
        comparison,
        created_date,
        treatment_verdicts,
        control_verdicts,
        treatment_rate,
        control_rate,
        difference,
        difference_low,
        difference_high,
        decision,
        evidence,
        looked_at_date
    from comparisons
    where recency = 1

)

select * from final
