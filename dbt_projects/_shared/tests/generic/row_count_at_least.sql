{% test row_count_at_least(model, minimum) %}

select counted.row_count
from (select count(*) as row_count from {{ model }}) as counted
where counted.row_count < {{ minimum }}

{% endtest %}
