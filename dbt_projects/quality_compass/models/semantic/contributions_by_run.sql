with contributions as (

    select * from {{ ref('fct_contributions') }}

),

final as (

    select
        contributions.*,
        -- Compared as it stands: the index on runs then finds the rows.
        contributions.run_id = {{ newest_run_of(ref('fct_contributions')) }} as is_in_newest_run
    from contributions

)

select * from final
