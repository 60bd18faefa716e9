-- Told, and no gate: what can be read either way in these files is among the rejected.
{{ config(severity='warn') }}

with

conventions as (

    select * from {{ ref('int_file_conventions') }}

)

select * from conventions
where
    date_order = 'conflicting'
    or decimal_mark = 'conflicting'
    or string_to_array(point_currencies, ' ') && string_to_array(comma_currencies, ' ')
