{% macro usd(tokens, rate) -%}
    {#- USD at a rate per million. Decimals: sums are the same in whichever order they are added. -#}
    cast(
        cast(0.000001 as decimal(7, 6)) * (cast({{ tokens }} as decimal(18, 0)) * {{ rate }})
        as decimal(28, 10)
    )
{%- endmacro %}

{% macro usd_of_all(cost) -%}
    {#- What the rows of a group cost together; NULL where one of them does not tell. -#}
    case when count({{ cost }}) = count(*) then sum(cast({{ cost }} as decimal(28, 10))) end
{%- endmacro %}

{% macro more_usd_of_long(usage='', prices='') -%}
    {#- How much more what counters alone tell would cost at the price for all if its prompts were long. The relations
        are named with a point behind. -#}
    (
        ({{ prices }}long_input_multiplier - 1) * (
            {{ usd(usage ~ 'input_tokens_alone', prices ~ 'input') }}
            + {{ usd(usage ~ 'cache_read_tokens_alone', prices ~ 'cache_read') }}
            + {{ usd(usage ~ 'cache_creation_tokens_alone', prices ~ 'cache_write_5m') }}
        )
        + ({{ prices }}long_output_multiplier - 1)
        * {{ usd(usage ~ 'output_tokens_alone', prices ~ 'output') }}
    )
{%- endmacro %}

{% macro more_usd_if_long(usage, prices, special_costs) -%}
    {#- The same at the prices of the tiers that counters tell; none where it is too little for a long prompt. -#}
    case
        when
            {{ usage }}.input_tokens_alone
            + {{ usage }}.cache_read_tokens_alone
            + {{ usage }}.cache_creation_tokens_alone
            > {{ prices }}.long_prompt_of_counters_above
            then
                {{ more_usd_of_long(usage ~ '.', prices ~ '.') }}
                + coalesce({{ special_costs }}.more_usd_if_long, 0)
        else 0
    end
{%- endmacro %}
