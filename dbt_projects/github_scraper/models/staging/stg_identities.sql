{%- set noreply = "'^(no-?reply|do-?not-?reply)([+].*)?@|[@.]no-?reply[.]'" -%}
with source as (

    select * from {{ source('raw', 'contributors') }}

),

final as (

    select
        id as identity_id,
        {{ shared.split_part('identity_key', ':', 1) }} as identity_kind,
        coalesce(nullif(display_name, ''), username) as identity_name,
        case
            when not {{ fits(folded_email('email'), noreply) }}
                then nullif({{ shared.split_part(folded_email('email'), '@', 2) }}, '')
        end as email_domain
    from source

)

select * from final
