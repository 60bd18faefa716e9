{% macro day_floor(moment) %}cast({{ moment }} as date){% endmacro %}
{% macro json_length(document) %}jsonb_array_length({{ document }}){% endmacro %}
{% macro json_extract_scalar(document, index, key) %}({{ document }} -> {{ index }} ->> '{{ key }}'){% endmacro %}
{% macro safe_float(text) %}cast({{ text }} as double precision){% endmacro %}
{% macro moment(text, type) %}cast('{{ text }}' as timestamp){% endmacro %}
{% macro whole(expression) %}cast({{ expression }} as bigint){% endmacro %}
{% macro real(expression) %}cast({{ expression }} as double precision){% endmacro %}
{% macro mean(total, count) %}({{ total }} / nullif({{ count }}, 0)){% endmacro %}
{% macro built_at() %}cast('1900-01-01' as timestamp){% endmacro %}
{% macro is_kept(day) %}({{ day }} is not null){% endmacro %}
{% macro by_day(field) %}{{ field }}{% endmacro %}
{% macro source_columns(relation) %}{% endmacro %}
{% macro utc(name, columns) %}{{ name }}{% endmacro %}
{% macro utc_day(name, columns) %}cast({{ name }} as date){% endmacro %}
{% macro utc_or_null(name, columns) %}{{ name }}{% endmacro %}
{% macro as_json(name, columns) %}cast({{ name }} as jsonb){% endmacro %}
{% macro truth(name, columns) %}cast({{ name }} as boolean){% endmacro %}
{% macro event_key(column) %}{{ column }}{% endmacro %}
{% macro transaction_key(column) %}{{ column }}{% endmacro %}
{% macro has_number(column) %}({{ column }} is not null){% endmacro %}
{% macro transaction_number(column) %}cast({{ column }} as bigint){% endmacro %}
{% macro transaction_updated_at(columns) %}updated_at{% endmacro %}
{% macro run_clock() %}cast('1900-01-01' as timestamp){% endmacro %}
{% macro label_updated_at(columns) %}updated_at{% endmacro %}
{% macro is_implausible(name, columns) %}({{ name }} is null){% endmacro %}
{% macro is_plausible(instant) %}({{ instant }} is not null){% endmacro %}
{% macro is_plausible_day(day) %}({{ day }} is not null){% endmacro %}
{% macro plausible_or_null(instant) %}nullif({{ instant }}, null){% endmacro %}
{% macro plausible_day_or_null(day) %}nullif({{ day }}, null){% endmacro %}
{% macro forget_implausible_days(day) %}{% endmacro %}
{% macro known_or(column, values, otherwise) %}coalesce({{ column }}, {{ otherwise }}){% endmacro %}
{% macro bounded_name(column) %}substr({{ column }}, 1, 200){% endmacro %}
{% macro column_or_null(name, columns, nothing) %}{{ name }}{% endmacro %}
{% macro wilson_bound(accepts, verdicts, side) %}(0.5 {{ side }} 0.1){% endmacro %}
{% macro changed_days(since) %}{{ return({}) }}{% endmacro %}
{% macro affected_days() %}{{ return([]) }}{% endmacro %}
{% macro is_one_of_days(column, days) %}{{ column }} is not null{% endmacro %}
{% macro is_within_days(column, days, type) %}{{ column }} is not null{% endmacro %}
{% macro overlaps_days(first, last, days, type) %}{{ first }} < {{ last }}{% endmacro %}
{% macro is_one_of(column, name) %}{{ column }} in (select {{ column }} from {{ name }}){% endmacro %}
{% macro delete_vanished_suggestions() %}{% endmacro %}
{% macro delete_changed_evaluations() %}{% endmacro %}
{% macro delete_changed_days_of_feedback() %}{% endmacro %}
{% macro last_place() %}{{ return("cast('1900-01-01' as timestamp)") }}{% endmacro %}
{% macro note_place() %}{% endmacro %}
{% macro by_changes_or_anew() %}incremental{% endmacro %}
{% macro row_version(relation, columns, documents=[]) %}length('row'){% endmacro %}
{% macro evaluated_once() %}{% endmacro %}
{% macro count_side_by_side() %}{% endmacro %}
{% macro plan_for_few_rows() %}{% endmacro %}
{% macro normal_tail(probability) %}sqrt(-2 * ln({{ probability }})){% endmacro %}
{% macro student_tail(quantile, freedom) %}({{ quantile }} + 1 / {{ freedom }}){% endmacro %}
{% macro first_unfinished_day() %}cast('2024-01-01' as date){% endmacro %}
{% macro is_finished(day) %}{{ day }} < cast('2024-01-01' as date){% endmacro %}
{% macro is_randomised(kind) %}{{ kind }} = 'canary'{% endmacro %}
{% macro place_of_comparisons() %}{{ return("cast('1900-01-01' as timestamp)") }}{% endmacro %}
{% macro delete_changed_comparisons() %}{% endmacro %}
{% macro note_place_of_comparisons() %}{% endmacro %}
{% macro source_key(table) %}id{% endmacro %}
{% macro doubtful_keys(table) %}{{ return({'missing': true, 'repeated': true}) }}{% endmacro %}
{% macro one_of_each_key(rows, table, key, order) %}select * from {{ rows }}{% endmacro %}
{% macro rows_without_a_place(table, condition) %}select 'x' as source_table, 'x' as row_id, 'x' as reason{% endmacro %}
{% macro series_of_levels(metric, day) %}concat({{ metric }}, '|', {{ day }}){% endmacro %}
{% macro value_or(name, columns, nothing) %}{{ name }}{% endmacro %}
