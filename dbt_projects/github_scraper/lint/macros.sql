{% macro as_of_date() %}cast('2024-01-01' as date){% endmacro %}
{% macro first_unfinished_day() %}cast('2024-01-01' as date){% endmacro %}
{% macro is_in_trailing_days(days) %}(commit_day > {{ as_of_date() }} - {{ days }}){% endmacro %}
{% macro days_since(day) %}({{ as_of_date() }} - {{ day }}){% endmacro %}
{% macro utc_day(moment) %}cast({{ moment }} as date){% endmacro %}
{% macro day_text(day) %}cast({{ day }} as text){% endmacro %}
{% macro is_date_plausible(commit_date, is_date_clamped, created_at) %}({{ commit_date }} <= {{ created_at }}){% endmacro %}
{% macro commit_type(subject) %}lower({{ subject }}){% endmacro %}
{% macro commit_scope(subject) %}lower({{ subject }}){% endmacro %}
{% macro is_breaking(subject, message) %}({{ subject }} = {{ message }}){% endmacro %}
{% macro fits(value, pattern) %}{{ value }} ~ {{ pattern }}{% endmacro %}
{% macro is_merge(parent_hashes) %}(cardinality({{ parent_hashes }}) > 1){% endmacro %}
{% macro topic_list(topics) %}array_to_string({{ topics }}, ', '){% endmacro %}
{% macro subject(message) %}split_part({{ message }}, ' ', 1){% endmacro %}
{% macro calculate_gini_coefficient(value, ascending_rank) %}sum({{ value }} * {{ ascending_rank }}){% endmacro %}
{% macro bus_factor(descending_rank, cumulative_value, total_value) %}min({{ descending_rank }}){% endmacro %}
{% macro incremental_watermark(relation, column) %}cast('2024-01-01' as timestamptz){% endmacro %}
{% macro commits_of_days(commits, touched_days) %}select {{ commits }}.* from {{ commits }} cross join {{ touched_days }}{% endmacro %}
{% macro by_commit_day(field) %}{{ field }}{% endmacro %}
{% macro is_shallow(shallow_boundary) %}(cardinality({{ shallow_boundary }}) > 0){% endmacro %}
{% macro folded_email(email) %}public.folded_email({{ email }}){% endmacro %}
{% macro name_among_repositories() %}url{% endmacro %}
