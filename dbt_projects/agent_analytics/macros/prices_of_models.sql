{% macro prices_of_models(usage) -%}
    {#- One row per model and day of this usage that has a price. Names come with a provider before and a date behind
        (anthropic/claude-opus-4-20250514). Of the price names that begin it the longest counts. What stands behind it may
        only say which build or window of the same model it is: claude-opus-5-5 is another model than claude-opus-5. -#}
    (
        with models as (

            select distinct
                model_name,
                usage_date,
                {{ listed_name('model_name') }} as price_name,
                {{ is_fast_name('model_name') }} as is_fast,
                {{ is_regional_name('model_name') }} as is_regional,
                {{ is_government_name('model_name') }} as is_governmental
            from {{ usage }}

        ),

        listed as (

            select
                *,
                not ends_with(model_prefix, '[1m]')
                and model_prefix || '[1m]' in (select model_prefix from {{ ref('model_prices') }})
                    as has_other_window
            from {{ ref('model_prices') }}

        )

            select
                models.model_name,
                models.usage_date,
                {%- for rate in ['input', 'cache_write_5m', 'cache_write_1h', 'cache_read', 'output'] %}
                cast(
                    listed.{{ rate }}
                    * case when models.is_fast then listed.fast_multiplier else 1 end
                    * case
                        when models.is_governmental then listed.government_multiplier
                        when models.is_regional then coalesce(listed.regional_multiplier, 1)
                        else 1
                    end
                    as decimal(10, 4)
                ) as {{ rate }},
                {%- endfor %}
                -- A name that says so, and a request that does, say the same.
                case when models.is_fast then 1 else listed.fast_multiplier end as fast_multiplier,
                listed.batch_multiplier,
                coalesce(listed.batch_cache_read_multiplier, listed.batch_multiplier) as batch_cache_read_multiplier,
                listed.long_prompt_above,
                -- A counter that does not name the window in which prompts are long tells of short ones.
                case when not listed.has_other_window then listed.long_prompt_above end
                    as long_prompt_of_counters_above,
                listed.long_input_multiplier,
                listed.long_output_multiplier
            from models
            inner join listed
                on
                    starts_with(models.price_name, listed.model_prefix)
                    and regexp_matches(
                        substr(models.price_name, length(listed.model_prefix) + 1),
                        replace(
                            '^{build}(\[(1m|fast)\])*{build}(:([0-9]+k?|latest|beta|thinking|fast))*$',
                            '{build}',
                            '(-?[0-9]{8}|-[0-9]{4}-[0-9]{2}-[0-9]{2}|-latest|-v[0-9]+)*(@[^:\[]*)?'
                        )
                    )
                    and not (models.is_fast and listed.fast_multiplier is null)
                    and not (models.is_governmental and listed.government_multiplier is null)
                    and models.usage_date >= listed.effective_from
                    and models.usage_date < coalesce(listed.effective_to, date '9999-12-31')
            qualify row_number() over (
                    partition by models.model_name, models.usage_date
                    order by length(listed.model_prefix) desc, listed.effective_from desc
                ) = 1
    )
{%- endmacro %}
