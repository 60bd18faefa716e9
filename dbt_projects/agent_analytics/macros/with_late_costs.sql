{% macro with_late_costs(priced) -%}
    {#- The same rows, with the cost that is reported of each day. A counter of cost that comes after midnight is also
        of the usage before it, since it counts, whose cost nothing tells: its days share it by their list price, less
        what events tell. -#}
    (
        with late_costs as (

            select
                late.session_id,
                late.agent_type,
                late.model_name,
                late.usage_date as told_on,
                days.usage_date,
                late.reported_cost_usd - coalesce(late.reported_cost_usd_by_events, 0) as told_usd,
                case
                    when days.is_priced then greatest(
                        days.usd_without_writes + days.usd_for_writes_5m
                        - coalesce(days.reported_cost_usd_by_events, 0), 0
                    )
                    else days.total_tokens + days.total_cache_read_tokens
                end as share
            from {{ priced }} as late
            inner join {{ priced }} as days
                on
                    late.session_id = days.session_id
                    and late.agent_type = days.agent_type
                    and late.model_name = days.model_name
                    and days.usage_date between late.counted_since and late.usage_date
                    and (days.usage_date = late.usage_date or days.reported_cost_usd is null)
            where
                late.counted_since < late.usage_date
                and late.reported_cost_usd > coalesce(late.reported_cost_usd_by_events, 0)

        ),

        shares as (

            select
                session_id,
                agent_type,
                model_name,
                told_on,
                usage_date,
                cast(
                    told_usd * share / nullif(sum(share) over (
                        partition by session_id, agent_type, model_name, told_on
                    ), 0) as decimal(28, 10)
                ) as usd
            from late_costs

        ),

        moved as (

            select
                session_id,
                agent_type,
                model_name,
                unnest([usage_date, told_on]) as usage_date,
                unnest([usd, -usd]) as usd
            from shares
            where told_on > usage_date and usd > 0

        )

        select
            priced.* replace (
                case
                    when moved.usd is not null
                        then nullif(coalesce(priced.reported_cost_usd, 0) + moved.usd, 0)
                    else priced.reported_cost_usd
                end as reported_cost_usd
            )
        from {{ priced }} as priced
        left join (
            select
                session_id,
                agent_type,
                model_name,
                usage_date,
                sum(usd) as usd
            from moved
            group by session_id, agent_type, model_name, usage_date
        ) as moved
            on
                priced.session_id = moved.session_id
                and priced.agent_type = moved.agent_type
                and priced.model_name = moved.model_name
                and priced.usage_date = moved.usage_date
    )
{%- endmacro %}
