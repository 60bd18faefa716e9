{% macro event_attributes() -%}
    {#- Where events tell of tokens, in the order in which the usage of a request reads them. The seed agent_signals says
        what each counts as. -#}
    {{ return([
        'input_tokens', 'output_tokens', 'reasoning_tokens', 'cache_read_tokens', 'cache_creation_tokens',
        'input_token_count', 'output_token_count', 'cached_token_count', 'cached_content_token_count',
        'reasoning_token_count', 'thoughts_token_count', 'tool_token_count', 'gen_ai.usage.input_tokens',
        'gen_ai.usage.output_tokens', 'gen_ai.usage.cache_read.input_tokens',
        'gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_write.input_tokens',
        'gen_ai.usage.reasoning.output_tokens',
    ]) }}
{%- endmacro %}

{% macro json_paths(names) -%}
    [{%- for name in names -%}'$."{{ name }}"'{{ ', ' if not loop.last }}{%- endfor -%}]
{%- endmacro %}

{% macro metric_signal(metric_name) -%}
    {#- The name under which the seed agent_signals lists a metric: its own, or the shape that other agents share. -#}
    case
        when
            {{ metric_name }} in (
                select signals.name from {{ ref('agent_signals') }} as signals where signals.signal = 'metric'
            ) then {{ metric_name }}
        when ends_with({{ metric_name }}, '.token.usage') then '*.token.usage'
        when ends_with({{ metric_name }}, '.cost.usage') then '*.cost.usage'
        when contains({{ metric_name }}, '.tokens.') then '*.tokens.*'
    end
{%- endmacro %}

{% macro event_signal(event_name) -%}
    case
        when
            {{ event_name }} in (
                select signals.name from {{ ref('agent_signals') }} as signals where signals.signal = 'event'
            ) then {{ event_name }}
        when ends_with({{ event_name }}, 'api_request') then '*api_request'
    end
{%- endmacro %}

{% macro token_type(metric_name, attributes) -%}
    {#- The type of a point as its counter names it, in one spelling. -#}
    lower(replace(replace(
        case
            when contains({{ metric_name }}, '.tokens.') then regexp_extract({{ metric_name }}, '[^.]+$')
            else coalesce(
                {{ attributes }} ->> '$.type',
                {{ attributes }} ->> '$.token_type',
                {{ attributes }} ->> '$."gen_ai.token.type"',
                ''
            )
        end, '_', ''
    ), '-', ''))
{%- endmacro %}

{% macro is_whole_agent(operation) -%}
    {#- An operation that tells again of the requests that it made. -#}
    coalesce({{ operation }} in ('invoke_agent', 'create_agent', 'execute_tool'), false)
{%- endmacro %}
