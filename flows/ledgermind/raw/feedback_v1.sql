create table public.suggestion_feedback (
    id uuid primary key,
    event_id uuid not null,
    action text not null,
    reason text,
    user_ts timestamp,
    created_at timestamp not null
);
