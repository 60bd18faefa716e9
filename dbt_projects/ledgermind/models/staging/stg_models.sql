{%- set columns = source_columns(source('operational', 'model_registry')) -%}

with renamed as (

    select
        {{ bounded_name('model_id') }} as model_id,
        case
            when lower({{ shared.text('phase') }}) like 'canary%' then 'canary'
            else {{ known_or('phase', ['shadow', 'live'], 'null') }}
        end as phase,
        {{ shared.text('phase') }} as phase_as_registered,
        {{ plausible_or_null(utc_or_null('created_at', columns)) }} as registered_at
    from {{ source('operational', 'model_registry') }}

)

{{ one_of_each_key('renamed', 'model_registry', 'model_id', 'registered_at desc') }}
