{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ forget_changed_runs() }}",
        post_hook="{{ analyze_table() }}",
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set naming = [
    'stg_nodes', 'stg_entity_results', 'stg_classifications', 'stg_contributions'
] %}

with final as (

    {%- for named_in in naming %}
    select
        metric_id,
        run_id,
        run_version
    from {{ ref(named_in) }}
    where metric_id is not null and {{ in_changed_runs('run_id') }}
    {{- '\n\n    union distinct\n' if not loop.last }}
    {%- endfor %}

)

select * from final
