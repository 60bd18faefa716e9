with daily as (

    select * from {{ ref('int_suggestions_daily') }}
    where created_date <= {{ first_unfinished_day() }}

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
        coalesce(measured.model_id, models.model_id) as model_id,
        models.phase,
        measured.first_date,
        measured.last_date,
        {{ whole('coalesce(measured.events, 0)') }} as events,
        {{ whole('coalesce(measured.accepts, 0)') }} as accepts,
        {{ whole('coalesce(measured.verdicts, 0)') }} as verdicts
    from measured
    full outer join models on measured.model_id = models.model_id

),

candidates as (

    select
        candidate_id,
        comparison,
        sum(control_verdicts) as live_verdicts,
        sum(control_accepts) as live_accepts
    from {{ ref('int_comparison_days') }}
    where candidate_id is not null
    group by candidate_id, comparison

),

looks as (

    select
        *,
        row_number() over (partition by comparison order by look_date desc) as recency
    from {{ ref('int_comparison_looks') }}

),

newest_looks as (

    select * from looks
    where recency = 1

),

compared as (

    select
        joined.*,
        {{ shared.safe_divide('joined.accepts', 'joined.verdicts') }} as accept_rate,
        {{ wilson_bound('joined.accepts', 'joined.verdicts', '-') }} as wilson_low,
        {{ wilson_bound('joined.accepts', 'joined.verdicts', '+') }} as wilson_high,
        {{ shared.safe_divide('candidates.live_accepts', 'candidates.live_verdicts') }}
            as live_accept_rate,
        coalesce(candidates.live_verdicts, 0) as live_verdicts,
        newest_looks.look_date as looked_at_date,
        newest_looks.difference_low,
        newest_looks.difference_high,
        coalesce(newest_looks.decided, newest_looks.outcome) as outcome
    from joined
    left join candidates on joined.model_id = candidates.candidate_id
    left join newest_looks on candidates.comparison = newest_looks.comparison

),

final as (

    select
        model_id,
        phase,
        first_date,
        last_date,
        events,
        verdicts,
        accepts,
        accept_rate,
        wilson_low,
        wilson_high,
        live_accept_rate,
        case
            when phase is null then 'not in a phase'
            when phase = 'live' then 'live already'
            when outcome = 'better' and phase = 'shadow' then 'promote to canary'
            when outcome = 'better' then 'promote to live'
            when outcome = 'worse' then 'do not promote'
            when verdicts < {{ var('minimum_verdicts') }} then 'too few verdicts'
            when live_verdicts = 0 then 'nothing live to compare with'
            when outcome = 'not enough clusters' then 'not enough clusters'
            else 'wait'
        end as promotion,
        {{ whole('live_verdicts') }} as live_verdicts,
        looked_at_date,
        {{ real('difference_low') }} as difference_low,
        {{ real('difference_high') }} as difference_high
    from compared

)

select * from final
