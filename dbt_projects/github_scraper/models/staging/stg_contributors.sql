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
        max(case when kind = 'family' then 1 else 0 end) = 1 as is_named_after_a_family,
        string_agg(case when kind = 'unclear' then field end, ', ' order by field) as unclear_by
    from fitting
    group by contributor_id

),

known as (

    select
        source.*,
        kinds.person_by,
        kinds.agent_by,
        kinds.unclear_by,
        case
            when not coalesce(kinds.is_named_after_a_family, false) or source.account_type = 'Bot'
                or source.username like '%[bot]%' or source.email like '%[bot]%' then kinds.bot_by
        end as bot_by,
        coalesce(kinds.is_named_after_a_family, false) as is_named_after_a_family
    from source
    left join kinds on source.id = kinds.contributor_id
    where source.merged_into is null

),

classified as (

    select
        id,
        identity_key,
        username,
        email,
        display_name,
        profile_url,
        created_at,
        updated_at,
        case
            when person_by is not null then 'person'
            when agent_by is not null then 'agent'
            when bot_by is not null or account_type = 'Bot' then 'bot'
            else 'person'
        end as kind,
        case
            when person_by is not null then null
            when agent_by is not null then agent_by
            when bot_by is not null then bot_by
            when account_type = 'Bot' then 'account type'
            when not is_named_after_a_family then unclear_by
        end as matched_by
    from known

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
