{% materialization view, adapter='duckdb' %}
    {{ return(write_whole('view', sql)) }}
{% endmaterialization %}
