{% test not_after_month_end(model, column_name, month_column) %}

select {{ column_name }}
from {{ model }}
where
    {{ column_name }} < {{ month_column }}
    or {{ column_name }} >= {{ shared.add_days(month_column, 31) }}
    or extract(month from {{ column_name }}) <> extract(month from {{ month_column }})

{% endtest %}
