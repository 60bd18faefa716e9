{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

with methods as (

    select * from {{ ref('stg_statistical_methods') }}
    where {{ in_changed_runs('run_id', changed) }}

),

anomalies as (

    select
        methods.statistical_method_id,
        methods.run_id,
        methods.run_version,
        profile.value ->> 'anomaly_profile' as anomaly_profile,
        anomaly.value ->> 'anomaly_method' as anomaly_method,
        anomaly.value ->> 'applies_to' as applies_to,
        anomaly.value ->> 'anomaly' as anomaly,
        {{ json_number("anomaly.value -> 'statistic_value'") }} as statistic_value,
        anomaly.value #>> '{interpretation,rendered}' as interpretation,
        profile.place as profile_place,
        anomaly.place as anomaly_place
    from methods
    cross join
        lateral jsonb_array_elements(methods.anomalies) with ordinality as profile (value, place)
    cross join
        lateral jsonb_array_elements(
            {{ json_array("profile.value -> 'methods'") }}
        ) with ordinality as anomaly (value, place)
    where anomaly.value ->> 'anomaly' is not null

),

final as (

    select distinct on (statistical_method_id, anomaly_profile, anomaly_method, applies_to)
        {{
            surrogate_key(
                ['statistical_method_id', 'anomaly_profile', 'anomaly_method', 'applies_to']
            )
        }} as anomaly_id,
        statistical_method_id,
        run_id,
        run_version,
        anomaly_profile,
        anomaly_method,
        applies_to,
        anomaly,
        statistic_value,
        interpretation
    from anomalies
    order by
        statistical_method_id asc,
        anomaly_profile asc,
        anomaly_method asc,
        applies_to asc,
        {{ anomaly_rank('anomaly') }} desc nulls last,
        anomaly like '%high' desc,
        anomaly asc,
        profile_place desc,
        anomaly_place desc

)

select * from final
