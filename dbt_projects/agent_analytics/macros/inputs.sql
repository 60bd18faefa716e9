{% macro hash_of_rows(row_hash) -%}
    {#- One hash of the hashes of a group's rows, in any order. DuckDB takes the last argument of a hash of several into
        it by exclusive or alone: without the hash around each, rows that end with the same value would cancel it. -#}
    hash(count(*), bit_xor(hash({{ row_hash }})))
{%- endmacro %}

{% macro differs_from_built(keys) -%}
    {#- A row of the relation `inputs` that the table was not built from, or not as it is now. -#}
    not exists (
        select 1
        from {{ this }} as built
        where {{ equal_keys('built', 'inputs', keys) }} and built.input_hash = inputs.input_hash
    )
{%- endmacro %}

{% macro touched(keys) -%}
    {#- What a build computes anew. The CTE `inputs` has one row per group with a hash of all that the group is made from;
        touched are the groups that the table does not have with this hash. Whatever changed, and when, shows there. -#}
    select
        {{ columns_of('inputs', keys) }},
        inputs.input_hash
    from inputs
    {%- if is_incremental() %}
    where {{ differs_from_built(keys) }}
    {%- endif -%}
{%- endmacro %}

{% macro and_replaced(keys) -%}
    {#- The groups whose rows of the last build go: what is computed anew, and what nothing is left of. A row without
        input_hash is not written. -#}
    {%- if is_incremental() %}
union all by name
select {{ columns_of('touched', keys) }} from touched
union all by name
select distinct {{ columns_of('built', keys) }}
from {{ this }} as built
where not exists (select 1 from inputs where {{ equal_keys('built', 'inputs', keys) }})
    {%- endif -%}
{%- endmacro %}

{% macro equal_keys(left, right, keys) -%}
    {%- for key in ([keys] if keys is string else keys) -%}
        {{ left }}.{{ key }} = {{ right }}.{{ key }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro columns_of(relation, keys) -%}
    {%- for key in ([keys] if keys is string else keys) -%}{{ relation }}.{{ key }}{{ ', ' if not loop.last }}{%- endfor -%}
{%- endmacro %}
