with aliases as (

    select
        lower(trim(developer_id)) as developer_id,
        lower(trim(alias)) as alias
    from {{ ref('developer_aliases') }}

),

commits as (

    select
        lower(trim(developer_id)) as developer_id,
        author_email
    from {{ ref('stg_git_commits') }}

),

-- Two names of one person, as they were seen. The address GitHub gives instead of a real one holds
-- the login.
seen_pairs as (

    select
        lower(trim(developer_id)) as developer_id,
        identity as other_name
    from {{ source('raw', 'developer_identities') }}

    union all

    select
        developer_id,
        author_email as other_name
    from commits

    union all

    select
        author_email as developer_id,
        regexp_extract(author_email, '^(?:[0-9]+\+)?([^@+]+)@users\.noreply\.github\.com$', 1)
            as other_name
    from commits

),

seen_names as (

    select developer_id as name
    from seen_pairs

    union

    select other_name as name
    from seen_pairs

),

-- Addresses under which agents, robots and machines sign are anybody's.
names_of_nobody as (

    select distinct seen_names.name
    from seen_names
    inner join {{ ref('automation_addresses') }} as nobody
        on nobody.field = 'address' and regexp_full_match(seen_names.name, nobody.pattern)

),

-- An alias is what the company itself says.
pairs as (

    select
        developer_id,
        alias as other_name
    from aliases

    union all

    select
        developer_id,
        other_name
    from seen_pairs
    where
        developer_id not in (select names_of_nobody.name from names_of_nobody)
        and other_name not in (select names_of_nobody.name from names_of_nobody)

),

usable_pairs as (

    select distinct
        developer_id as first_name,
        other_name as second_name
    from pairs
    where
        {{ known_id('developer_id') }} is not null
        and {{ known_id('other_name') }} is not null
        and developer_id not in {{ listed(var('shared_identities')) }}
        and other_name not in {{ listed(var('shared_identities')) }}

),

links as (

    select
        first_name as name,
        second_name as other_name
    from usable_pairs

    union

    select
        second_name as name,
        first_name as other_name
    from usable_pairs

),

used_names as (

    select lower(trim(developer_id)) as name
    from {{ ref('stg_agent_sessions') }}

    union

    select coalesce(nullif(developer_id, ''), nullif(author_email, ''), 'unknown') as name
    from commits

),

names as (

    select name
    from used_names

    union

    select developer_id as name
    from {{ ref('stg_copilot_metrics') }}

    union

    select name
    from links

),

components as (

    select
        name,
        label
    from {{ connected_names('names', 'links') }}

),

-- The name by which a developer goes: the one the company chose, else one that people read.
ranked as (

    select
        components.name,
        components.label,
        case
            when components.name in (select aliases.developer_id from aliases) then 0
            when components.name not in (select used_names.name from used_names) then 4
            when
                regexp_matches(components.name, '^[0-9a-f]{32,}$|^[0-9a-f]{8}-[0-9a-f-]{27}$')
                then 3
            when ends_with(components.name, '@users.noreply.github.com') then 2
            else 1
        end as preference
    from components

),

chosen as (

    select
        name,
        first_value(name) over (
            partition by label order by preference, name
        ) as developer_id
    from ranked

),

-- The rows of everyone together are called `all`.
final as (

    select
        name,
        case when developer_id = 'all' then 'all (a name)' else developer_id end as developer_id
    from chosen

)

select * from final
