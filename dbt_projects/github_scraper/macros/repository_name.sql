{% macro name_among_repositories() -%}
    {#- What the last part is cut from has a host, or there is no owner. -#}
    case
        when owner is null or repo_name is null then url
        when count(*) over (partition by owner, repo_name) > 1
            then {{ shared.first_match('url', '^(?:[a-z+]+://)?(?:[^/@]+@)?(.+?)(?:[.]git)?/*$') }}
        else owner || '/' || repo_name
    end
{%- endmacro %}
