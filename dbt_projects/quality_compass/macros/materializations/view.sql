{% materialization view, adapter='postgres' %}
    {%- if not shared.has_readers(this) or not shared.same_columns(sql) -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place('create or replace view ' ~ this ~ ' as (' ~ sql ~ ')', 'view', is_described=true)) }}
{% endmaterialization %}
