create type public.suggestion_action as enum ('accept', 'reject');

create table public.suggestion_feedback (
    id uuid primary key,
    event_id uuid references public.suggestion_events (id) on delete set null,
    txn_id integer not null,
    action public.suggestion_action not null,
    label varchar(128) not null,
    confidence double precision,
    user_id varchar(128),
    reason text,
    created_at timestamptz not null default now()
);
create index on public.suggestion_feedback (txn_id);
