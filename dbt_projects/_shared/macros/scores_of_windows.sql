{#- How far each window of periods is from its forecast, and the window that departs most of those that end with a
    period and are compared with the same baseline (`begun`). A part of `departures`: `forecasts` has a row for each
    window and each of its periods (`ahead` of the `origin` of its forecast), with the model of that place.

    A window does not count where its last periods are back at the forecast: nearer to it than to the window's mean, by
    more than two deviations. -#}
{% macro scores_of_windows(forecasts, observed, windows, sigmas) -%}
(
    with expectations as (
        select
            forecasts.*,
            later.value,
            later.weight,
            forecasts.period - later.period as age_in_window,
            forecasts.mean_value
            + coalesce(forecasts.slope * forecasts.share_of_slope, 0) * (forecasts.ahead - forecasts.mean_age)
            + coalesce(forecasts.effect * forecasts.share_of_season, 0) as expected,
            forecasts.dispersion * (
                1 / forecasts.total_weight
                + power(
                    forecasts.period - forecasts.origin - (forecasts.size - 1) / 2.0 - forecasts.mean_age, 2
                )
                / nullif(forecasts.age_spread, 0)
                * forecasts.doubt_of_slope
            ) as variance_of_line,
            coalesce(forecasts.share_of_season, 0) * forecasts.noise_of_place as variance_of_place
        from {{ forecasts }} as forecasts
        inner join {{ observed }} as later
            on forecasts.series = later.series and later.period = forecasts.origin + forecasts.ahead
    ),

    -- One wild period alone makes no longer window depart: there it counts as four and a half deviations.
    departed as (
        select
            *,
            weight * (value - expected) as whole_departure,
            case
                when weight = 0 then 0
                when size = 1 then weight * (value - expected)
                else
                    weight * greatest(
                        least(value - expected, 4.5 * sqrt(dispersion / nullif(weight, 0))),
                        -4.5 * sqrt(dispersion / nullif(weight, 0))
                    )
            end as departure
        from expectations
    ),

    summed as (
        select
            series,
            begun,
            period,
            size,
            max(case when age_in_window = 0 then expected end) as expected,
            max(dispersion) as dispersion,
            least(max(correlation), 0.9) as correlation,
            max(total_weight) as total_weight,
            max(freedom) as freedom,
            sum(weight) as window_weight,
            sum(departure) as window_departure,
            sum(whole_departure) as whole_departure,
            {%- for size in windows if size < windows | max %}
            sum(case when age_in_window < {{ size }} then weight else 0 end) as weight_of_{{ size }},
            sum(case when age_in_window < {{ size }} then whole_departure else 0 end) as departure_of_{{ size }},
            {%- endfor %}
            max(variance_of_line) as variance_of_line,
            max(variance_of_place) * sum(weight * weight) as variance_of_places
        from departed
        group by series, begun, period, size
        having sum(weight) > 0
    ),

    spread_windows as (
        select
            *,
            {%- for size in windows if size < windows | max %}
            case
                when
                    size > {{ size }}
                    and sign(whole_departure)
                    * (departure_of_{{ size }} - whole_departure / window_weight * weight_of_{{ size }} / 2)
                    < -2 * sqrt(dispersion * weight_of_{{ size }})
                    then 1
                else 0
            end
            + {%- endfor %} 0 as returns,
            sqrt(
                dispersion * window_weight * (
                    case size
                        {%- for size in windows %}
                        when {{ size }} then 1
                        {%- for distance in range(1, size) %}
                            + {{ 2 * (size - distance) / size }} * power(correlation, {{ distance }})
                        {%- endfor %}
                        {%- endfor %}
                    end
                )
                + window_weight * window_weight * variance_of_line * (1 + correlation) / (1 - correlation)
                + variance_of_places
            ) as window_deviation
        from summed
    ),

    scored as (
        select
            *,
            window_departure / window_deviation as score,
            sqrt(dispersion / window_weight + variance_of_line + variance_of_places / window_weight / window_weight)
                as uncertainty,
            {{ sigmas }} + 0.8 * (1 - 1 / greatest(dispersion, 1)) as quantile,
            greatest(freedom, 10) as believed_freedom
        from spread_windows
    ),

    limited as (
        select
            *,
            quantile + (power(quantile, 3) + quantile) / (4 * believed_freedom)
            + (5 * power(quantile, 5) + 16 * power(quantile, 3) + 3 * quantile)
            / (96 * power(believed_freedom, 2)) as bound
        from scored
    ),

    strongest as (
        select
            *,
            row_number() over (
                partition by series, begun, period
                order by case when returns = 0 then 0 else 1 end, abs(score) / bound desc, size
            ) as strength
        from limited
    ),

    final as (
        select
            series,
            begun,
            period,
            max(case when size = 1 then expected end) as expected,
            max(case when size = 1 then uncertainty end) as uncertainty,
            max(case when size = 1 then score end) as score,
            max(case when size = 1 then bound end) as bound,
            max(case when size = 1 then bound * window_deviation / window_weight end) as margin,
            max(case when size = 1 then total_weight end) as baseline_weight,
            max(case when strength = 1 and returns = 0 then size end) as window_periods,
            max(case when strength = 1 and returns = 0 then score end) as window_score,
            max(case when strength = 1 and returns = 0 then bound end) as window_bound
        from strongest
        group by series, begun, period
    )

    select
        *,
        coalesce(abs(window_score) > window_bound, false) as is_departed
    from final
)
{%- endmacro %}
