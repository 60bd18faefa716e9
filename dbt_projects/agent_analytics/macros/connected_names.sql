{% macro connected_names(names, links) -%}
    {#- One row per name with the smallest name it is connected to. Each round passes on only labels that got smaller. -#}
    (
        with recursive labels (name, label) using key (name) as (
            select name, name as label from {{ names }}
            union
            select links.other_name, min(labels.label)
            from labels
            inner join {{ links }} as links on labels.name = links.name
            inner join recurring.labels as known on links.other_name = known.name
            where labels.label < known.label
            group by links.other_name
        )

        select name, label from labels
    )
{%- endmacro %}
