with daily as (

    select * from {{ ref('int_suggestions_daily') }}

),

models as (

    select * from {{ ref('stg_models') }}

),

measured as (

    select
        model_id,
        min(created_date) as first_date,
        max(created_date) as last_date,
        sum(events) as events,
        sum(accepts) as accepts,
        sum(accepts) + sum(rejects) as verdicts
    from daily
    group by model_id

),

joined as (

    select
        models.phase,
        measured.first_date,
        measured.last_date,
        coalesce(measured.model_id, models.model_id) as model_id,
        {{ whole('coalesce(measured.events, 0)') }} as events,
        {{ whole('coalesce(measured.accepts, 0)') }} as accepts,
        {{ whole('coalesce(measured.verdicts, 0)') }} as verdicts
    from measured
    full outer join models on measured.model_id = models.model_id

),

live as (

    select {{ shared.safe_divide('sum(accepts)', 'sum(verdicts)') }} as accept_rate
    from joined
    where phase = 'live'

),

compared as (

    select
        joined.model_id,
        joined.phase,
        joined.first_date,
        joined.last_date,
        joined.events,
        joined.verdicts,
        joined.accepts,
        {{ shared.safe_divide('joined.accepts', 'joined.verdicts') }} as accept_rate,
        {{ wilson_bound('joined.accepts', 'joined.verdicts', '-') }} as wilson_low,
        {{ wilson_bound('joined.accepts', 'joined.verdicts', '+') }} as wilson_high,
        live.accept_rate as live_accept_rate
    from joined
    cross join live

),

final as (

    select
        *,
        case
            when phase is null then 'not in a phase'
            when phase = 'live' then 'live already'
            when verdicts < {{ var('minimum_verdicts', 100) }} then 'too few verdicts'
            when live_accept_rate is null then 'nothing live to compare with'
            when wilson_low > live_accept_rate and phase = 'shadow' then 'promote to canary'
            when wilson_low > live_accept_rate then 'promote to live'
            when wilson_high < live_accept_rate then 'do not promote'
            else 'wait'
        end as promotion
    from compared

)

select * from final
