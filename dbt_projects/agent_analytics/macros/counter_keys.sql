{% macro counter_keys(since) -%}
    {#- One row per series, with what its points are put together by: those with a start, and those without, of which two
        processes of a session could not be told apart. What a collector adds to the resource of a counter makes
        another series of it: with a start, and in a session, they are one. Else all of the resource tells them apart,
        unless they have a point in common. -#}
    (
        with counters as (

            select
                series_key,
                starts_with(session_id, 'no-session:') as is_nameless,
                count(*) over alike > 1 as is_of_several,
                min(series_key) over alike as first_series_key
            from {{ source('raw', 'otel_counters') }}
            {% if is_incremental() %}
            where session_id in (select touched.session_id from touched)
            {% endif %}
            window alike as (
                partition by session_id, developer_id, agent_type, metric_name, cast(attributes as varchar)
            )

        ),

        points_of_several as (

            select
                points.series_key,
                min(points.series_key) over (
                    partition by
                        counters.first_series_key, points.temporality, points.start_timestamp,
                        points.timestamp, points.metric_value
                ) as first_series_key
            from {{ source('raw', 'otel_points') }} as points
            inner join counters on points.series_key = counters.series_key
            where
                counters.is_of_several
                and (counters.is_nameless or points.start_timestamp is null)
                and points.metric_value > 0
                {{ 'and ' ~ not_before(since, 'points.timestamp') if is_incremental() }}

        ),

        series_of_several as (

            select distinct series_key as name
            from points_of_several

        ),

        -- A series that shares one point with this and another with that makes all three one counter.
        shared_points as (

            select
                series_key as name,
                first_series_key as other_name
            from points_of_several
            where series_key <> first_series_key

            union

            select
                first_series_key as name,
                series_key as other_name
            from points_of_several
            where series_key <> first_series_key

        ),

        sent_again as (

            select
                name as series_key,
                label as first_series_key
            from {{ connected_names('series_of_several', 'shared_points') }}

        )

        select
            counters.series_key,
            case
                when counters.is_nameless
                    then coalesce(sent_again.first_series_key, counters.series_key)
                else counters.first_series_key
            end as with_start,
            coalesce(sent_again.first_series_key, counters.series_key) as without_start
        from counters
        left join sent_again on counters.series_key = sent_again.series_key
    )
{%- endmacro %}
