with models as (

    select
        *,
        row_number() over (order by events desc, model_id asc) as place,
        count(*) over () as models
    from {{ ref('mart_model_comparison') }}

),

final as (

    select
        place,
        models,
        model_id,
        phase,
        last_date,
        events,
        verdicts,
        accepts,
        {{ real('accept_rate') }} as accept_rate,
        {{ real('wilson_low') }} as wilson_low,
        {{ real('wilson_high') }} as wilson_high,
        promotion
    from models
    where place <= 30 or phase is not null

)

select * from final
