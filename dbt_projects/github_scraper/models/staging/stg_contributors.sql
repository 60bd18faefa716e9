with source as (

    select * from {{ source('raw', 'contributors') }}

),

-- One expression per kind and field, which is quicker than one after the other.
patterns as (

    select
        kind,
        field,
        '^(' || string_agg(pattern, '|') || ')$' as pattern
    from {{ ref('automation_patterns') }}
    group by kind, field

),

-- What every identity of a contributor is called.
labels as (

    select
        coalesce(merged_into, id) as contributor_id,
        'name' as field,
        lower(trim(display_name)) as label
    from source
    union all
    select
        coalesce(merged_into, id) as contributor_id,
        'login' as field,
        lower(coalesce(username, signed_login)) as label
    from source
    union all
    select
        coalesce(merged_into, id) as contributor_id,
        'login' as field,
        {{ shared.split_part('lower(identity_key)', ':', 2) }} as label
    from source
    where identity_key like 'login:%'
    union all
    select
        coalesce(merged_into, id) as contributor_id,
        'email' as field,
        {{ folded_email('email') }} as label
    from source

),

fitting as (

    select distinct
        labels.contributor_id,
        patterns.kind,
        patterns.field
    from labels
    inner join patterns
        on
            labels.field = patterns.field
            and {{ fits('labels.label', 'patterns.pattern') }}

),

-- The fields that say so; NULL where none does.
kinds as (

    select
        contributor_id,
        string_agg(case when kind = 'person' then field end, ', ' order by field) as person_by,
        string_agg(case when kind = 'agent' then field end, ', ' order by field) as agent_by,
        string_agg(case when kind = 'bot' then field end, ', ' order by field) as bot_by,
        string_agg(case when kind = 'unclear' then field end, ', ' order by field) as unclear_by
    from fitting
    group by contributor_id

),

classified as (

    select
        source.id,
        source.identity_key,
        source.username,
        source.email,
        source.display_name,
        source.profile_url,
        source.created_at,
        source.updated_at,
        case
            when kinds.person_by is not null then 'person'
            when kinds.agent_by is not null then 'agent'
            when kinds.bot_by is not null or source.account_type = 'Bot' then 'bot'
            else 'person'
        end as kind,
        case
            when kinds.person_by is not null then null
            when kinds.agent_by is not null then kinds.agent_by
            when kinds.bot_by is not null then kinds.bot_by
            when source.account_type = 'Bot' then 'account type'
            else kinds.unclear_by
        end as matched_by
    from source
    left join kinds on source.id = kinds.contributor_id
    where source.merged_into is null

),

final as (

    select
        id as contributor_id,
        identity_key,
        username,
        email,
        coalesce(
            nullif(display_name, ''),
            username,
            nullif({{ shared.split_part('email', '@', 1) }}, ''),
            case when identity_key like 'anonymous:%' then 'anonymous' end,
            identity_key
        ) as display_name,
        nullif({{ shared.split_part(folded_email('email'), '@', 2) }}, '') as email_domain,
        profile_url,
        coalesce(
            {{ folded_email('email') }} like '%@users.noreply.github.com', false
        ) as is_noreply,
        kind,
        kind = 'bot' as is_bot,
        kind = 'agent' as is_agent,
        kind = 'person' and matched_by is not null as looks_automated,
        matched_by,
        created_at,
        updated_at
    from classified

)

select * from final
