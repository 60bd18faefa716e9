{% test recent_within_hours(model, column, hours) %}
{{ config(meta={'clock': 'moment'}) }}

select measured.newest
from (select max({{ column }}) as newest from {{ model }}) as measured
where measured.newest < {{ dbt.current_timestamp() }} - interval '{{ hours }} hours'

{% endtest %}
