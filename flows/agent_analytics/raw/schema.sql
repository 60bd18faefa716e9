create schema if not exists raw;

create sequence if not exists raw.otel_metrics_id;
create sequence if not exists raw.otel_logs_id;
create sequence if not exists raw.git_commits_id;
create sequence if not exists raw.copilot_metrics_id;

-- One row per counter (or gauge): what all of its points have in common, kept once.
create table if not exists raw.otel_counters (
    series_key uhugeint not null,
    metric_name varchar not null,
    developer_id varchar not null,
    session_id varchar not null,
    agent_type varchar not null,
    model_name varchar,
    attributes json not null,
    resource_attributes json not null,
    created_at timestamp not null
);

-- One row per data point. point_key is the same for a resend of the same point. Times are UTC.
-- Of a histogram the sum of what was observed is the value. Uniqueness of the keys is kept by the
-- loader: an index of ten million would cost more than the rows.
create table if not exists raw.otel_points (
    id bigint not null default nextval('raw.otel_metrics_id'),
    "timestamp" timestamp not null,
    metric_value double not null,
    start_timestamp timestamp,
    temporality varchar not null,
    is_monotonic boolean not null,
    unit varchar,
    series_key uhugeint not null,
    point_key uhugeint not null,
    created_at timestamp not null,
    observations bigint
);

-- One row per event.
create table if not exists raw.otel_logs (
    id bigint not null default nextval('raw.otel_logs_id'),
    "timestamp" timestamp not null,
    developer_id varchar not null,
    severity varchar not null default 'INFO',
    body varchar,
    attributes json not null,
    created_at timestamp not null,
    event_name varchar,
    session_id varchar not null,
    agent_type varchar not null,
    model_name varchar,
    resource_attributes json not null,
    log_key uhugeint not null
);

-- Names of one person that telemetry showed together.
create table if not exists raw.developer_identities (
    developer_id varchar not null,
    identity varchar not null,
    created_at timestamp not null,
    primary key (developer_id, identity)
);

create table if not exists raw.git_commits (
    id bigint not null default nextval('raw.git_commits_id'),
    commit_hash varchar not null unique,
    commit_message varchar,
    author_name varchar,
    author_email varchar,
    commit_timestamp timestamp not null,
    files_changed integer,
    lines_added integer,
    lines_deleted integer,
    agent_assisted boolean not null default false,
    agent_session_id varchar,
    agent_type varchar,
    developer_id varchar,
    project_id varchar,
    co_authors varchar,
    created_at timestamp not null
);

create table if not exists raw.copilot_metrics (
    id bigint not null default nextval('raw.copilot_metrics_id'),
    "date" date not null,
    developer_id varchar not null,
    total_suggestions bigint,
    total_acceptances bigint,
    total_lines_suggested bigint,
    total_lines_accepted bigint,
    total_active_users bigint,
    language_breakdown json,
    created_at timestamp not null,
    ai_credits double,
    cli_requests bigint,
    cli_prompt_tokens bigint,
    cli_output_tokens bigint,
    app_requests bigint,
    app_prompt_tokens bigint,
    app_output_tokens bigint,
    unique ("date", developer_id)
);

-- Input that was put aside, with the reason.
create table if not exists raw.rejected (
    source varchar not null,
    reason varchar not null,
    excerpt varchar,
    created_at timestamp not null,
    primary key (source, reason, excerpt)
);

-- How far each file was read; start_hash tells a file that was appended to from a new one.
create table if not exists raw.ingested_files (
    path varchar primary key,
    bytes_read bigint not null,
    start_hash varchar not null,
    modified_ns bigint not null,
    created_at timestamp not null
);

-- When something was read for a table last, be it as it was before: freshness asks it, no model.
create table if not exists raw.looks (
    table_name varchar primary key,
    looked_at timestamp not null
);

-- How far the webhook inbox was consumed; written in the transaction of the rows that came from it.
create table if not exists raw.inbox_position (
    source varchar primary key,
    "position" json not null,
    created_at timestamp not null
);

-- People who were purged: hashes of their names under a key, and the pseudonym for each.
create table if not exists raw.purged_key (
    key blob not null
);

create table if not exists raw.purged_names (
    name_hash blob primary key,
    words integer not null,
    person varchar not null,
    purged_at timestamp not null,
    -- Two bytes of a hash of the first word of a name that texts may hold.
    beginning integer
);
