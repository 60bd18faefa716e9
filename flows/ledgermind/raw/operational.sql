-- LedgerMind's operational tables, as the application creates them; used for the sample only.
create table public.tenants (
    id integer primary key,
    name text not null,
    created_at timestamptz not null,
    suggest_canary_pct integer
);

create table public.transactions (
    id integer primary key,
    user_id integer,
    tenant_id integer,
    date date not null,
    merchant varchar(256),
    description text,
    amount double precision not null,
    category varchar(128),
    month char(7) not null,
    pending boolean not null default false,
    is_demo boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz
);

create table public.model_registry (
    id integer primary key,
    model_id text not null unique,
    created_at timestamp not null,
    notes text,
    commit_sha text,
    artifact_uri text,
    phase text
);

create table public.suggestion_events (
    id uuid primary key,
    txn_id integer not null references public.transactions (id) on delete cascade,
    model_id text,
    features_hash text,
    candidates jsonb not null,
    mode text not null,
    created_at timestamp not null
);

create table public.transaction_labels (
    txn_id integer primary key references public.transactions (id) on delete cascade,
    label varchar(128) not null,
    source text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table public.ml_features (
    txn_id integer primary key references public.transactions (id) on delete cascade,
    ts_month date not null,
    amount double precision not null,
    abs_amount double precision not null,
    merchant varchar(256),
    mcc varchar(8),
    channel text,
    hour_of_day integer,
    dow integer,
    is_weekend boolean,
    is_subscription boolean,
    norm_desc text,
    tokens text []
);

create table public.ml_training_runs (
    run_id text primary key,
    started_at timestamptz not null,
    finished_at timestamptz,
    feature_count integer,
    train_size integer,
    test_size integer,
    f1_macro double precision,
    accuracy double precision
);
