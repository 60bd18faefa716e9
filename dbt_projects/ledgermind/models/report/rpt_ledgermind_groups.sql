with daily as (

    select * from {{ ref('int_suggestions_daily') }}
    where created_date <= {{ first_unfinished_day() }}

),

tenants as (

    select * from {{ ref('mart_suggestions_tenant_daily') }}
    where created_date <= {{ first_unfinished_day() }}

),

newest as (

    select max(created_date) as last_date from daily

),

grouped as (

    {% for dimension in ['engine', 'mode', 'confidence_bucket'] %}
    select
        '{{ 'confidence' if dimension == 'confidence_bucket' else dimension }}' as dimension,
        {{ dimension }} as member,
        created_date,
        events,
        accepts,
        rejects
    from daily
    union all
    {% endfor %}
    select
        'tenant' as dimension,
        tenant_key as member,
        created_date,
        events,
        accepts,
        rejects
    from tenants

),

counted as (

    select
        grouped.dimension,
        coalesce(grouped.member, 'not known') as member,
        newest.last_date,
        {{ whole('sum(grouped.events)') }} as events,
        {{ whole('sum(grouped.accepts)') }} as accepts,
        {{ whole('sum(grouped.rejects)') }} as rejects,
        {{ whole('sum(grouped.accepts) + sum(grouped.rejects)') }} as verdicts
    from grouped
    inner join newest on grouped.created_date > newest.last_date - 30
    group by grouped.dimension, coalesce(grouped.member, 'not known'), newest.last_date

),

placed as (

    select
        counted.*,
        row_number() over (
            partition by counted.dimension order by counted.events desc, counted.member asc
        ) as place,
        count(*) over (partition by counted.dimension) as members
    from counted

),

final as (

    select
        dimension,
        place,
        member,
        members,
        events,
        accepts,
        rejects,
        {{ real(shared.safe_divide('accepts', 'verdicts')) }} as accept_rate,
        {{ real(wilson_bound('accepts', 'verdicts', '-')) }} as wilson_low,
        {{ real(wilson_bound('accepts', 'verdicts', '+')) }} as wilson_high,
        last_date
    from placed
    where place <= 20

)

select * from final
