{{
    config(
        materialized='incremental',
        unique_key='commit_hash',
    )
}}

with inputs as (

    select
        commits.commit_hash,
        hash(
            hash(commits),
            (
                select {{ hash_of_rows('addresses') }}
                from {{ ref('automation_addresses') }} as addresses  -- noqa: AL05
            )
        ) as input_hash
    from {{ source('raw', 'git_commits') }} as commits

),

touched as (

    {{ touched('commit_hash') }}

),

source as (

    select
        commits.*,
        touched.input_hash
    from {{ source('raw', 'git_commits') }} as commits
    inner join touched on commits.commit_hash = touched.commit_hash

),

last_paragraphs as (

    select
        commit_hash,
        {{ last_paragraph('commit_message') }} as paragraph
    from source
    where contains(lower(commit_message), 'co-authored-by')

),

found_trailers as (

    select
        commit_hash,
        paragraph,
        {{ trailers_in('paragraph') }} as trailers
    from last_paragraphs

),

counted_lines as (

    select
        commit_hash,
        trailers,
        regexp_matches(paragraph, '(?m)^{{ beginning_by_git() }}') as is_one_of_git,
        {{ count_of_lines('paragraph') }}
        - {{ count_of_lines("array_to_string(trailers, '')") }}
        - len(regexp_extract_all(paragraph, '(?m)^#')) as other_lines
    from found_trailers

),

-- A paragraph with other lines, too, has trailers where git itself wrote one and they are a fourth.
trailers as (

    select
        commit_hash,
        unnest(trailers) as trailer,
        generate_subscripts(trailers, 1) as place
    from counted_lines
    where
        other_lines = 0
        or (is_one_of_git and other_lines <= 3 * len(trailers))

),

-- GitHub's marts keep no addresses: there an agent is known by its name and the domain.
signatures as (

    select
        commit_hash,
        'address' as field,
        lower(trim(
            regexp_extract(regexp_replace(trailer, '\n[ \t\r\n]*', ' ', 'g'), '<([^<>]*)>', 1)
        )) as signature,
        place
    from trailers
    where regexp_matches(trailer, '(?i)^co-authored-by[ \t]*:')

    union all

    select
        commit_hash,
        'name and domain' as field,
        unnest(string_split(lower(co_authors), chr(10))) as signature,
        generate_subscripts(string_split(co_authors, chr(10)), 1) as place
    from source
    where co_authors is not null

),

agents as (

    select
        signed.field,
        signed.signature,
        min(addresses.agent_type) as agent_type
    from (
        select distinct
            field,
            signature
        from signatures
    ) as signed
    inner join {{ ref('automation_addresses') }} as addresses
        on
            signed.field = addresses.field
            and regexp_full_match(signed.signature, addresses.pattern)
    where addresses.kind = 'agent'
    group by signed.field, signed.signature

),

-- Of several agents the one that is named first.
agents_of_commits as (

    select
        signatures.commit_hash,
        arg_min(agents.agent_type, signatures.place) as agent_type
    from signatures
    inner join agents
        on signatures.field = agents.field and signatures.signature = agents.signature
    group by signatures.commit_hash

),

final as (

    select
        source.commit_hash,
        source.commit_message,
        source.author_name,
        lower(trim(source.author_email)) as author_email,
        source.commit_timestamp,
        source.files_changed,
        source.lines_added,
        source.lines_deleted,
        source.agent_assisted,
        source.agent_session_id,
        source.agent_type,
        source.developer_id,
        source.project_id,
        source.created_at,
        source.co_authors,
        agents_of_commits.agent_type as trailer_agent_type,
        source.input_hash
    from source
    left join agents_of_commits on source.commit_hash = agents_of_commits.commit_hash

)

select * from final
{{ and_replaced('commit_hash') }}
