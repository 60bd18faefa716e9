{% macro prompts_in_tiers(special_requests, told_in_tiers, told_days, usage) -%}
    {#- Requests of a price of their own, with the tier of counters (`tier_of_counters`) in which a long prompt ran whose
        event tells of none. It did where a counter of the tier told as much at once, and none of the price for all did; and where
        the short prompts of the day have no room for all that is told of the tier, the longest first. -#}
    {%- set prompt = 'input_tokens + cache_creation_tokens + cache_read_tokens' -%}
    (
        with tiers as (

            select
                session_id,
                usage_date,
                agent_type,
                model_name,
                service_tier,
                {{ prompt }} as prompt_tokens
            from {{ told_in_tiers }}

        ),

        points as (

            select
                session_id,
                agent_type,
                model_name,
                service_tier,
                used_at,
                min(counted_from) as counted_from,
                sum({{ prompt }}) as prompt_tokens
            from {{ usage }}
            where usage_source = 'metrics' and family <> 'cost'
            group by session_id, agent_type, model_name, service_tier, family, used_at

        ),

        -- A point whose start is that of the process does not tell since when it counts.
        points_of_prompts as (

            select
                requests.id,
                requests.session_id,
                requests.usage_date,
                requests.agent_type,
                requests.model_name,
                requests.prompt_tokens,
                points.service_tier
            from {{ special_requests }} as requests
            inner join points
                on
                    requests.session_id = points.session_id
                    and requests.agent_type = points.agent_type
                    and requests.model_name = points.model_name
                    and requests.used_at <= points.used_at
                    and (
                        points.counted_from = points.used_at
                        or requests.used_at >= points.counted_from
                    )
                    and requests.prompt_tokens <= points.prompt_tokens
            where requests.service_tier = 'standard'

        ),

        candidates as (

            select
                fitting.id,
                fitting.session_id,
                fitting.usage_date,
                fitting.agent_type,
                fitting.model_name,
                fitting.prompt_tokens,
                tiers.service_tier,
                tiers.prompt_tokens as told_tokens,
                fitting.id not in (
                    select standard.id from points_of_prompts as standard
                    where standard.service_tier = 'standard'
                ) as is_shown
            from points_of_prompts as fitting
            inner join tiers
                on
                    fitting.session_id = tiers.session_id
                    and fitting.usage_date = tiers.usage_date
                    and fitting.agent_type = tiers.agent_type
                    and fitting.model_name = tiers.model_name
                    and fitting.service_tier = tiers.service_tier
            qualify row_number() over (
                    partition by fitting.id order by tiers.prompt_tokens desc, tiers.service_tier
                ) = 1

        ),

        rooms as (

            select
                session_id,
                usage_date,
                agent_type,
                model_name,
                sum(
                    {%- for kind in ['input_tokens', 'cache_creation_tokens', 'cache_read_tokens'] %}
                    {{ kind }}_by_events + {{ kind }}_by_metrics_alone{{ ' +' if not loop.last }}
                    {%- endfor %}
                ) as prompt_tokens
            from {{ told_days }}
            group by session_id, usage_date, agent_type, model_name

        ),

        long_prompts as (

            select
                session_id,
                usage_date,
                agent_type,
                model_name,
                sum(prompt_tokens) as prompt_tokens
            from {{ special_requests }}
            where service_tier = 'standard'
            group by session_id, usage_date, agent_type, model_name

        ),

        placed as (

            select
                candidates.*,
                sum(candidates.prompt_tokens) over (
                    partition by
                        candidates.session_id, candidates.usage_date, candidates.agent_type,
                        candidates.model_name, candidates.service_tier
                    order by candidates.is_shown desc, candidates.prompt_tokens desc, candidates.id
                ) as placed_tokens,
                candidates.told_tokens - (rooms.prompt_tokens - long_prompts.prompt_tokens)
                    as without_room
            from candidates
            inner join rooms
                on
                    candidates.session_id = rooms.session_id
                    and candidates.usage_date = rooms.usage_date
                    and candidates.agent_type = rooms.agent_type
                    and candidates.model_name = rooms.model_name
            inner join long_prompts
                on
                    candidates.session_id = long_prompts.session_id
                    and candidates.usage_date = long_prompts.usage_date
                    and candidates.agent_type = long_prompts.agent_type
                    and candidates.model_name = long_prompts.model_name

        )

        select
            requests.* replace (coalesce(placed.service_tier, requests.service_tier) as service_tier),
            placed.service_tier as tier_of_counters
        from {{ special_requests }} as requests
        left join placed
            on
                requests.id = placed.id
                and placed.placed_tokens <= placed.told_tokens
                and (placed.is_shown or placed.placed_tokens - placed.prompt_tokens < placed.without_room)
    )
{%- endmacro %}

{% macro beside_prompts(told_in_tiers, requests_in_tiers, kinds) -%}
    {#- What counters tell of tiers, less what of it is that of long prompts. -#}
    (
        {% for rows, sign in [(told_in_tiers, ''), (requests_in_tiers, '-')] -%}
        select
            session_id,
            usage_date,
            agent_type,
            model_name,
            service_tier,
            {%- for kind in kinds %}
            {{ sign }}coalesce({{ kind }}, 0) as {{ kind }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ rows }}
        {% if loop.first %}union all{% else %}where tier_of_counters is not null{% endif %}
        {% endfor %}
    )
{%- endmacro %}

{% macro counter_days(usage) -%}
    {#- Since which day counters counted what they tell of on another; where no start is told, an hour. -#}
    (
        select
            session_id,
            agent_type,
            model_name,
            least(cast(used_at as date), received_on) as usage_date,
            min(least(
                cast(
                    case
                        when counted_from < used_at then counted_from else used_at - interval 1 hour
                    end as date
                ),
                received_on
            )) as counted_since
        from {{ usage }}
        where usage_source = 'metrics'
        group by session_id, agent_type, model_name, least(cast(used_at as date), received_on)
    )
{%- endmacro %}
