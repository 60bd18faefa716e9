{% macro counted_requests(signals, kinds, attributes, tiers, since) -%}
    {#- What events tell of requests, each once, in the kinds of the seed: of tokens in `attributes`, of the tier in `tiers`,
        in order. -#}
    {%- set others = [
        'cost_usd', 'request_id', 'gen_ai.response.id', 'event.sequence', 'gen_ai.operation.name',
    ] -%}
    {%- do others.extend(tiers) -%}
    {%- set named = {} -%}
    {%- for name in others -%}
    {%- do named.update({name: 'named_values[' ~ (attributes | length + loop.index) ~ ']'}) -%}
    {%- endfor -%}
    {%- set tier_of_request = [] -%}
    {%- for name in tiers -%}
    {%- do tier_of_request.append(named[name]) -%}
    {%- endfor -%}
    (
        with
        weights_of_attributes as (

            select
                name,
                family,
                token_type as attribute,
                {%- for kind in kinds[:-1] %}
                sum(weight) filter (where kind || '_tokens' = '{{ kind }}')
                    as {{ kind }}{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ signals }} as signals
            where signal = 'event'
            group by name, family, token_type

        ),

        read_attributes as (

            select
                unnest([
                    {%- for attribute in attributes -%}
                    '{{ attribute }}'{{ ', ' if not loop.last }}
                    {%- endfor -%}
                ]) as attribute,
                unnest(range({{ attributes | length }})) as place

        ),

        event_weights as (

            select
                names.name,
                names.family,
                {%- for kind in kinds[:-1] %}
                list(
                    cast(coalesce(weights.{{ kind }}, 0) as double) order by read_attributes.place
                ) as {{ kind }}{{ ',' if not loop.last }}
                {%- endfor %}
            from (
                select distinct
                    signals.name,
                    signals.family
                from {{ signals }} as signals
                where signals.signal = 'event' and signals.kind <> 'none'
            ) as names
            cross join read_attributes
            left join weights_of_attributes as weights
                on names.name = weights.name and read_attributes.attribute = weights.attribute
            group by names.name, names.family

        ),

        requests as (

            select
                id,
                session_id,
                agent_type,
                coalesce(model_name, 'unknown') as model_name,
                timestamp as used_at,
                cast(created_at as date) as received_on,
                attributes ->> {{ json_paths(attributes + others) }} as named_values,
                {{ event_signal('event_name') }} as signal_name,
                case
                    when starts_with(session_id, 'no-session:') then cast(log_key as varchar)
                    else timestamp || ' ' || hash(cast(attributes as varchar))
                end as event_key
            from {{ source('raw', 'otel_logs') }}
            where
                signal_name is not null
                {% if is_incremental() %}
                and session_id in (select touched.session_id from touched)
                and {{ not_before(since, 'timestamp') }}
                {% endif %}

        ),

        told_requests as (

            select
                *,
                list_transform(
                    named_values[1:{{ attributes | length }}],
                    lambda value: coalesce(try_cast(value as double), 0)
                ) as counts,
                len(list_filter(
                    named_values[1:{{ attributes | length }}], lambda value: value is not null
                )) > 0 as has_tokens,
                coalesce(
                    'request ' || coalesce(
                        {{ known_id(named['request_id']) }},
                        {{ known_id(named['gen_ai.response.id']) }}
                    ),
                    'sequence ' || {{ named['event.sequence'] }} || ' ' || used_at,
                    'event ' || event_key
                ) as request_key
            from requests

        ),

        -- The same request told twice, by whatever collector, counts once; under one id another model or
        -- other tokens are another request. What tells of no tokens is left out last: before, DuckDB would
        -- read it out of all events. What tells of a cost alone is kept, unless it is that of a request.
        distinct_requests as (

            select *
            from told_requests
            qualify
                not {{ is_whole_agent(named['gen_ai.operation.name']) }}
                and (
                    has_tokens
                    or (
                        try_cast({{ named['cost_usd'] }} as double) > 0
                        and not bool_or(has_tokens) over (partition by session_id, signal_name, request_key)
                    )
                )
                and row_number() over (
                    partition by
                        session_id, signal_name, request_key, has_tokens, counts,
                        {{ compared_name('model_name') }}
                    order by used_at asc, id asc
                ) = 1

        )

            select
                requests.id,
                requests.session_id,
                requests.agent_type,
                requests.model_name,
                requests.used_at,
                requests.received_on,
                case when requests.has_tokens then weights.family else 'cost' end as family,
                {%- for kind in kinds[:-1] %}
                greatest(list_dot_product(requests.counts, weights.{{ kind }}), 0) as {{ kind }},
                {%- endfor %}
                try_cast({{ named['cost_usd'] }} as double) as reported_cost_usd,
                case
                    when not requests.has_tokens then 'without tokens'
                    when coalesce({{ tier_of_request | join(', ') }}) is null then 'untold'
                    else {{ service_tier(tier_of_request) }}
                end as service_tier
            from distinct_requests as requests
            inner join event_weights as weights on requests.signal_name = weights.name
    )
{%- endmacro %}
