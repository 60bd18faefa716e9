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
        'name' as field,
        lower(coalesce(username, signed_login)) as label
    from source
    union all
    select
        coalesce(merged_into, id) as contributor_id,
        'name' as field,
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

kinds as (

    select
        labels.contributor_id,
        max(case when patterns.kind = 'person' then 1 else 0 end) = 1 as is_person,
        max(case when patterns.kind = 'agent' then 1 else 0 end) = 1 as is_agent,
        max(case when patterns.kind = 'bot' then 1 else 0 end) = 1 as is_bot
    from labels
    inner join patterns
        on
            labels.field = patterns.field
            and {{ fits('labels.label', 'patterns.pattern') }}
    group by labels.contributor_id

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
            when kinds.is_person then 'person'
            when kinds.is_agent then 'agent'
            when kinds.is_bot or source.account_type = 'Bot' then 'bot'
            else 'person'
        end as kind,
        kinds.contributor_id is not null and not kinds.is_person as is_matched
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
        kind = 'person' and is_matched as looks_automated,
        created_at,
        updated_at
    from classified

)

select * from final
