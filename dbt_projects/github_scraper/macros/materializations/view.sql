{% materialization view, adapter='postgres' %}
    {%- if not shared.has_readers(this) or not shared.same_columns(sql) -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place(shared.view_anew(sql), 'view', is_described=true)) }}
{% endmaterialization %}
