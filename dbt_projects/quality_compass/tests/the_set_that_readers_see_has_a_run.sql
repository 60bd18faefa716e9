{{ config(severity='warn') }}

-- Otherwise readers see the newest run of whatever set.
select '{{ var("shown_set") }}' as shown_set
where not exists (
        select 1 from {{ ref('stg_runs') }} as runs
        where runs.is_shown
    )
    and exists (select 1 from {{ ref('stg_runs') }})
