create index on public.suggestion_events (txn_id);
create index on public.suggestion_events (created_at);
create index on public.suggestion_feedback (event_id);
create index on public.suggestion_feedback (created_at);
create index on public.transactions (updated_at);
analyze;
