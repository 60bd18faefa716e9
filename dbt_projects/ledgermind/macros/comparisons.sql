{% macro arms_of_comparisons() -%}
    {#- What decides into which comparisons a verdict goes, as a hash: candidates with their first days, and live models.
        Asked once in a build, as it stands when the first asks. -#}
    {%- if 'arms_of_comparisons' not in graph -%}
        {%- set arms = [] -%}
        {%- for row in run_query(
            'select models.model_id, models.phase, verdicts.engine, min(verdicts.created_date) as first_date from '
            ~ ref('stg_models') ~ ' as models left join ' ~ ref('int_verdicts_daily') ~ ' as verdicts '
            ~ "on models.model_id = verdicts.model_id and models.phase in ('shadow', 'canary') "
            ~ 'and verdicts.verdict_date < ' ~ first_unfinished_day()
            ~ ' where models.phase is not null group by models.model_id, models.phase, verdicts.engine order by 1, 2, 3'
        ).rows -%}
            {%- do arms.append(row.values() | list) -%}
        {%- endfor -%}
        {%- do graph.update({'arms_of_comparisons': local_md5(arms | string)}) -%}
    {%- endif -%}
    {{ return(graph['arms_of_comparisons']) }}
{%- endmacro %}

{% macro place_of_comparisons() -%}
    {#- As a literal; none where the table is made anew, where nothing tells, or where other arms were compared. -#}
    {%- if not execute or should_full_refresh() or not is_incremental() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set arms = this.identifier ~ ' of ' ~ arms_of_comparisons() -%}
    {{ return(last_place() if arms in noted_places() else none) }}
{%- endmacro %}

{% macro note_place_of_comparisons() -%}
    {{ note_place() }}
    {%- if target.type == 'postgres' -%}
        ;
        delete from {{ places() }} where starts_with(model, '{{ this.identifier }} of ');
        insert into {{ places() }} (model, built_at)
        values ('{{ this.identifier }} of {{ arms_of_comparisons() if execute }}', {{ built_at() }})
    {%- endif -%}
{%- endmacro %}

{% macro delete_changed_comparisons() -%}
    {#- Of a day of which no group of verdicts was written since, as many groups are the same. -#}
    {%- if is_incremental() -%}
        {%- set since = place_of_comparisons() -%}
        delete from {{ this }} as existing
        {%- if since %}
        where not exists (
            select 1
            from (
                select
                    verdict_date,
                    count(*) as verdict_groups,
                    max(built_at) as newest
                from {{ ref('int_verdicts_daily') }}
                where verdict_date < {{ first_unfinished_day() }}
                group by verdict_date
            ) as days
            where
                days.verdict_date = existing.verdict_date
                and days.verdict_groups = existing.verdict_groups
                and days.newest <= {{ since }}
        )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
