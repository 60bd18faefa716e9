{#- Arrays are copied to BigQuery as the text PostgreSQL writes, such as {a,b}. -#}

{% macro is_merge(parent_hashes) -%}
    {{ return(adapter.dispatch('is_merge', 'github_scraper')(parent_hashes)) }}
{%- endmacro %}

{% macro postgres__is_merge(parent_hashes) -%}
    coalesce(cardinality({{ parent_hashes }}) > 1, false)
{%- endmacro %}

{% macro bigquery__is_merge(parent_hashes) -%}
    coalesce(strpos({{ parent_hashes }}, ',') > 0, false)
{%- endmacro %}

{% macro topic_list(topics) -%}
    {#- In the order of bytes, which is the same everywhere. Topics hold letters, digits and hyphens. -#}
    {{ return(adapter.dispatch('topic_list', 'github_scraper')(topics)) }}
{%- endmacro %}

{% macro postgres__topic_list(topics) -%}
    (
        select string_agg(listed.topic, ', ' order by listed.topic collate "C")
        from unnest({{ topics }}) as listed (topic)
    )
{%- endmacro %}

{% macro bigquery__topic_list(topics) -%}
    (
        select string_agg(topic, ', ' order by topic)
        from unnest(split(translate({{ topics }}, '{}"', ''), ',')) as topic
        where topic not in ('', 'NULL')
    )
{%- endmacro %}

{% macro subject(message) -%}
    {#- The first line that is not blank. -#}
    {{ return(adapter.dispatch('subject', 'github_scraper')(message)) }}
{%- endmacro %}

{% macro postgres__subject(message) -%}
    rtrim(split_part(ltrim({{ message }}, e' \t\r\n'), e'\n', 1), e'\r')
{%- endmacro %}

{% macro bigquery__subject(message) -%}
    rtrim(split(ltrim({{ message }}, ' \t\r\n'), '\n')[safe_offset(0)], '\r')
{%- endmacro %}

{% macro is_shallow(shallow_boundary) -%}
    {{ return(adapter.dispatch('is_shallow', 'github_scraper')(shallow_boundary)) }}
{%- endmacro %}

{% macro postgres__is_shallow(shallow_boundary) -%}
    cardinality({{ shallow_boundary }}) > 0
{%- endmacro %}

{% macro bigquery__is_shallow(shallow_boundary) -%}
    {{ shallow_boundary }} not in ('', '{}')
{%- endmacro %}
