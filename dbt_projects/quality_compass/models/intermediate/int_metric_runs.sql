{{
    config(
        materialized='incremental',
        on_schema_change='fail',
        post_hook="{{ analyze_table() }}",
        indexes=[{'columns': ['run_id']}],
    )
}}

{%- set changed = changed_run_ids() -%}

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
    where metric_id is not null and {{ in_changed_runs('run_id', changed) }}
    {{- '\n\n    union distinct\n' if not loop.last }}
    {%- endfor %}

)

select * from final
