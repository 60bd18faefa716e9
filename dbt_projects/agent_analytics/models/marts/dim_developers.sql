with names as (

    select * from {{ ref('int_developer_names') }}

),

sightings as (

    select
        developer_id,
        cast(null as varchar) as name,
        cast(null as varchar) as email,
        session_start as first_seen_at,
        session_end as last_seen_at
    from {{ ref('int_sessions_with_costs') }}

    union all

    select
        developer_id,
        author_name as name,
        author_email as email,
        commit_timestamp as first_seen_at,
        commit_timestamp as last_seen_at
    from {{ ref('int_commits_with_agent_context') }}

    union all

    select
        names.developer_id,
        cast(null as varchar) as name,
        cast(null as varchar) as email,
        copilot.metric_date as first_seen_at,
        copilot.metric_date as last_seen_at
    from {{ ref('stg_copilot_metrics') }} as copilot
    inner join names on copilot.developer_id = names.name
    where copilot.developer_id <> '__org__'

),

seen as (

    select
        developer_id,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        arg_max(name, (last_seen_at, name)) filter (where name <> '') as last_name
    from sightings
    group by developer_id

),

addresses as (

    select
        developer_id,
        count(*) as names_known,
        arg_min(
            name, (case when ends_with(name, '@users.noreply.github.com') then 1 else 0 end, name)
        ) filter (where contains(name, '@')) as best_email,
        bool_or({{ is_company_address('name') }}) as is_internal
    from names
    group by developer_id

),

final as (

    select
        seen.developer_id,
        coalesce(seen.last_name, split_part(seen.developer_id, '@', 1)) as name,
        case
            when contains(seen.developer_id, '@') then seen.developer_id
            else addresses.best_email
        end as email,
        case when coalesce(addresses.is_internal, false) then 'Internal' else 'External' end
            as developer_type,
        coalesce(addresses.names_known, 1) as names_known,
        cast(seen.first_seen_at as timestamp) as first_seen_at,
        cast(seen.last_seen_at as timestamp) as last_seen_at
    from seen
    left join addresses on seen.developer_id = addresses.developer_id

)

select * from final
