{#- Where a series departs from what its own past lets expect.

    `observed` names a relation with the columns series, period (a whole number, without gaps), value and weight: the
    value is on a scale on which its variance is dispersion / weight, as 2 * sqrt(count + 3/8) is; a weight of 0 says
    nothing. For every period with enough before it the result has one row: what was expected, how sure that is, and the
    window of the last periods that departs most. A period departs by itself where its value is further than `margin`
    from `expected`.

    Each window is compared with a forecast from the periods before it, so that it is no part of its own baseline. The
    forecast is a line and a level for each place in the season, fitted to the periods that are no outliers, its
    seasonal part and its slope shrunk to nothing where noise explains them.

    A departure that goes on is in the baselines of later periods, and of so many periods that they are no outliers any
    more. From ten departed ones on, of the first 14, periods are therefore compared with the forecast from before the
    departure, until fewer than ten of the `baseline` periods before them departed from it, for at most `lasting`.

    `floor` is the smallest dispersion that is believed, in terms of the column `level`. A season that grows with its
    level is no straight line: a floor that knows the level leaves room for that. -#}
{% macro departures(observed, baseline, minimum, season, lag, windows, sigmas, lasting, floor='1.0') -%}
{%- set fence = 'materialized ' if target.type == 'postgres' else '' -%}
{%- set by_fit = 'partition by series, origin' -%}
{%- set by_place = by_fit ~ ', place' -%}
(
    with rises as (
        select
            *,
            min(period) over (partition by series) as first_period,
            max(period) over (partition by series) as last_period,
            case
                when weight > 0 and lag(weight, {{ lag }}) over past > 0
                    then value - lag(value, {{ lag }}) over past
            end as rise
        from {{ observed }}
        window past as (partition by series order by period)
    ),

    spans as (
        select
            origins.series,
            origins.period as origin,
            origins.last_period,
            days.period - origins.period as age,
            mod(days.period - origins.period + {{ baseline * season }}, {{ season }}) as place,
            days.value,
            days.weight,
            case
                when
                    days.period - origins.period > {{ lag - baseline }}
                    and days.period - days.first_period >= {{ lag }}
                    then days.rise
            end as rise
        from rises as origins
        inner join rises as days
            on
                origins.series = days.series
                and days.period <= origins.period
                and days.period > origins.period - {{ baseline }}
        where
            origins.period - origins.first_period >= {{ minimum - 1 }}
            and days.weight > 0
    ),

    ranked_rises as (
        select
            *,
            row_number() over (
                {{ by_fit }} order by case when rise is null then 1 else 0 end, rise
            ) as place_of_rise,
            count(rise) over ({{ by_fit }}) as rises
        from spans
    ),

    slopes as (
        select
            *,
            avg(case when place_of_rise * 2 between rises and rises + 2 then rise end)
                over ({{ by_fit }})
            / {{ lag }} as median_slope
        from ranked_rises
    ),

    detrended as (
        select
            *,
            value - coalesce(median_slope, 0) * (age + {{ (baseline - 1) / 2 }}) as straight
        from slopes
    ),

    ranked_values as (
        select
            *,
            row_number() over ({{ by_place }} order by straight) as place_in_order,
            count(*) over ({{ by_place }}) as values_of_place
        from detrended
    ),

    middles as (
        select
            *,
            avg(
                case
                    when place_in_order * 2 between values_of_place and values_of_place + 2
                        then straight
                end
            ) over ({{ by_place }}) as middle
        from ranked_values
    ),

    levels as (
        select
            *,
            avg(case when place_in_order = 1 then middle end) over ({{ by_fit }}) as level
        from middles
    ),

    deviations as (
        select
            series,
            origin,
            last_period,
            age,
            place,
            value,
            weight,
            level,
            middle - level as effect,
            (straight - middle) * sqrt(weight) as deviation
        from levels
    ),

    ranked_deviations as (
        select
            *,
            row_number() over ({{ by_place }} order by abs(deviation)) as place_in_order,
            count(*) over ({{ by_place }}) as deviations_of_place
        from deviations
    ),

    spreads_of_places as (
        select
            *,
            max(case when place_in_order * 2 <= deviations_of_place + 1 then abs(deviation) end)
                over ({{ by_place }}) as spread_of_place
        from ranked_deviations
    ),

    -- A place in the season where next to nothing varies, as a weekend on which nobody works, says nothing of how far the
    -- others do.
    moving as (
        select
            *,
            case
                when spread_of_place >= 0.1 * max(spread_of_place) over ({{ by_fit }}) then abs(deviation)
            end as distance
        from spreads_of_places
    ),

    ranked_distances as (
        select
            *,
            row_number() over (
                {{ by_fit }} order by case when distance is null then 1 else 0 end, distance
            ) as place_of_distance,
            count(distance) over ({{ by_fit }}) as distances
        from moving
    ),

    medians as (
        select
            *,
            max(case when place_of_distance * 2 <= distances + 1 then distance end)
                over ({{ by_fit }}) as median_distance,
            avg(distance) over ({{ by_fit }}) as mean_distance
        from ranked_distances
    ),

    -- Half as wide again as the median deviation, which fitting has made too small. Where most deviations are next to
    -- none and many are not, as of totals that are one of two, they are no outliers.
    spreads as (
        select
            *,
            case
                when mean_distance > 3 * median_distance then 1.4 * mean_distance
                else 1.705 * median_distance
            end as spread
        from medians
    ),

    kept as (
        select
            *,
            value - effect as level_value
        from spreads
        where abs(deviation) <= 3 * greatest(spread, sqrt({{ floor }}))
    ),

    centres as (
        select
            *,
            sum(weight) over fit as total_weight,
            count(*) over fit as periods,
            sum(weight * age) over fit / sum(weight) over fit as mean_age,
            sum(weight * level_value) over fit / sum(weight) over fit as mean_value
        from kept
        window fit as ({{ by_fit }})
    ),

    lines as (
        select
            *,
            sum(weight * (age - mean_age) * (age - mean_age)) over fit as age_spread,
            sum(weight * (age - mean_age) * (level_value - mean_value)) over fit
            / nullif(sum(weight * (age - mean_age) * (age - mean_age)) over fit, 0) as slope
        from centres
        -- Fewer make no line and season.
        where periods >= {{ 2 * season }}
        window fit as ({{ by_fit }})
    ),

    places as (
        select
            *,
            sum(weight * (level_value - mean_value - slope * (age - mean_age))) over ({{ by_place }})
            / sum(weight) over ({{ by_place }}) as correction
        from lines
    ),

    residuals as (
        select
            *,
            sqrt(weight) * (level_value - mean_value - slope * (age - mean_age) - correction)
                as residual
        from places
    ),

    successive as (
        select
            *,
            residual * lag(residual) over ({{ by_fit }} order by age) as product
        from residuals
    ),

    spread_out as (
        select
            *,
            sum(case when distance is not null then residual * residual end) over ({{ by_fit }})
                as squares,
            count(distance) over ({{ by_fit }}) as moving_periods,
            count(distance) over ({{ by_place }}) as moving_periods_of_place,
            sum(product) over ({{ by_fit }}) as products
        from successive
    ),

    fits as (
        select
            series,
            origin,
            place,
            max(last_period) as last_period,
            max(total_weight) as total_weight,
            max(periods) as periods,
            max(mean_age) as mean_age,
            max(mean_value) as mean_value,
            max(age_spread) as age_spread,
            max(slope) as slope,
            {{ '0.0' if season == 1 else 'max(effect + correction)' }} as effect,
            max(moving_periods) as moving_periods,
            max(case when moving_periods_of_place = 0 then 1 else 0 end) as is_still,
            max(squares) as squares,
            max({{ floor }}) as smallest_dispersion,
            greatest(coalesce(max(products) / nullif(max(squares), 0), 0), 0) as correlation
        from spread_out
        group by series, origin, place
    ),

    freedoms as (
        select
            *,
            moving_periods - {{ season + 1 }} + sum(is_still) over ({{ by_fit }}) as freedom
        from fits
    ),

    -- Cutting outliers off takes three hundredths of the variance.
    dispersions as (
        select
            *,
            greatest(1.03 * squares / greatest(freedom, 1), smallest_dispersion) as dispersion
        from freedoms
    ),

    -- The seasonal part and the slope keep the share of their variance that noise does not explain.
    shares as (
        select
            *,
            dispersion * {{ season }} / total_weight as noise_of_place,
            sum(effect * effect) over ({{ by_fit }}) / {{ [season - 1, 1] | max }} as between_places,
            slope * slope / nullif(slope * slope + 4 * dispersion / nullif(age_spread, 0), 0)
                as share_of_slope
        from dispersions
    ),

    models as (
        select
            *,
            greatest(between_places - noise_of_place, 0)
            / nullif(greatest(between_places, noise_of_place), 0) as share_of_season
        from shares
    ),

    aheads as (
        {% for ahead in range(1, windows | max + 1) %}
        select {{ ahead }} as ahead{{ ' union all' if not loop.last }}
        {%- endfor %}
    ),

    window_sizes as (
        {% for size in windows %}
        select {{ size }} as size{{ ' union all' if not loop.last }}
        {%- endfor %}
    ),

    -- Whether a period departs is asked of the windows that end with it.
    fresh as {{ fence }}(
        select
            models.*,
            models.origin + window_sizes.size as period,
            models.origin + window_sizes.size as begun,
            window_sizes.size,
            aheads.ahead,
            least(1, coalesce(models.share_of_slope, 0) + 0.3) as doubt_of_slope
        from models
        inner join aheads on models.place = mod(aheads.ahead, {{ season }})
        inner join window_sizes
            on
                window_sizes.size >= aheads.ahead
                and models.origin + window_sizes.size <= models.last_period
    ),

    seen as (
        select *
        from {{ shared.scores_of_windows('fresh', observed, windows, sigmas) }} as scored
    ),

    begins as (
        select
            *,
            max(case when is_departed then period end) over (
                partition by series order by period
                rows between unbounded preceding and 1 preceding
            ) as departed_before
        from seen
    ),

    starts as (
        select
            series,
            period as begun,
            period - window_periods as origin
        from begins
        where is_departed and (departed_before is null or period - departed_before > 3)
    ),

    -- PostgreSQL would join all days with all models before it comes to the few that are kept.
    kept_models as {{ fence }}(
        select models.*, starts.begun
        from starts
        inner join models on starts.series = models.series and starts.origin = models.origin
    ),

    kept_days as {{ fence }}(
        select models.*, days.period
        from kept_models as models
        inner join {{ observed }} as days
            on
                models.series = days.series
                and days.period > models.origin
                and days.period <= models.begun + {{ lasting }}
    ),

    kept_forecasts as {{ fence }}(
        select
            days.*,
            window_sizes.size,
            days.period - window_sizes.size + aheads.ahead - days.origin as ahead,
            -- Months ahead a slope that was taken for none may have been one.
            1 as doubt_of_slope
        from kept_days as days
        inner join window_sizes on days.period - window_sizes.size >= days.origin
        inner join aheads
            on
                window_sizes.size >= aheads.ahead
                and days.place
                = mod(days.period - window_sizes.size + aheads.ahead - days.origin, {{ season }})
    ),

    followed as (
        select
            *,
            count(case when is_departed then 1 end) over (
                partition by series, begun order by period
                range between {{ baseline }} preceding and 1 preceding
            ) as departed_before
        from {{ shared.scores_of_windows('kept_forecasts', observed, windows, sigmas) }} as scored
    ),

    lasting as (
        select
            *,
            min(case when departed_before >= 10 then period end) over (partition by series, begun) as first_kept
        from followed
    ),

    ended as (
        select
            *,
            min(case when period > first_kept and departed_before < 10 then period end)
                over (partition by series, begun) as first_after
        from lasting
        where first_kept <= begun + 14
    ),

    kept_0 as (
        select
            series,
            begun,
            max(first_kept) as first_kept,
            coalesce(max(first_after), max(period) + 1) as first_after
        from ended
        group by series, begun
    ),

    {%- for round in range(1, 4) %}

    -- What begins where another forecast is kept is compared with a baseline that a departure is in.
    kept_{{ round }} as (
        select found.*
        from kept_0 as found
        left join kept_{{ round - 1 }} as other
            on
                found.series = other.series
                and found.begun > other.begun
                and found.begun >= other.first_kept
                and found.begun < other.first_after
        where other.series is null
    ),
    {%- endfor %}

    compared as (
        select
            ended.*,
            row_number() over (partition by ended.series, ended.period order by ended.begun) as place_of_start
        from ended
        inner join kept_3 as kept on ended.series = kept.series and ended.begun = kept.begun
        where ended.period >= kept.first_kept and ended.period < kept.first_after
    )

    select
        seen.series,
        seen.period,
        {%- for column in [
            'expected', 'uncertainty', 'score', 'bound', 'margin', 'baseline_weight', 'window_periods', 'window_score',
            'window_bound',
        ] %}
        case when compared.series is null then seen.{{ column }} else compared.{{ column }} end as {{ column }},
        {%- endfor %}
        compared.begun as lasting_since
    from seen
    left join compared
        on
            seen.series = compared.series
            and seen.period = compared.period
            and compared.place_of_start = 1
)
{%- endmacro %}

{% macro plan_for_departures() -%}
    {#- Pre-hook of models on `departures`. PostgreSQL 18 takes each of its steps for one row: it would go through all of
        the next for each of many. -#}
    {%- if target.type == 'postgres' -%}
        set local enable_nestloop = off
    {%- endif -%}
{%- endmacro %}
