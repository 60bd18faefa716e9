create schema if not exists webhooks;

create sequence if not exists webhooks.positions;

-- One row per delivery that was accepted. `position` is where readers find it; a replay gives it a
-- new one. `body` goes after a time, the row stays: by it a delivery sent again is known.
create table if not exists webhooks.deliveries (
    id bigint generated always as identity primary key,
    position bigint not null default nextval('webhooks.positions') unique,
    source text not null,
    delivery_id text not null,
    kind text not null,
    slug text,
    received_at timestamptz not null,
    content_type text not null,
    headers jsonb not null,
    attributes jsonb not null,
    body bytea,
    body_bytes integer not null,
    body_sha256 bytea not null,
    payload jsonb,
    replays integer not null default 0,
    unique (source, delivery_id)
);
create index if not exists deliveries_source_position on webhooks.deliveries (source, position);
create index if not exists deliveries_received_at on webhooks.deliveries (received_at);

-- A delivery whose id another one has, with another body.
create table if not exists webhooks.conflicts (
    id bigint generated always as identity primary key,
    source text not null,
    delivery_id text not null,
    kind text not null,
    slug text,
    received_at timestamptz not null,
    content_type text not null,
    headers jsonb not null,
    body bytea not null,
    body_sha256 bytea not null,
    unique (source, delivery_id, body_sha256)
);

-- Events to be sent: due when `due_at` has passed. Whoever sends one moves `due_at` on first, so
-- that it is taken up again if the sender dies. `stored_at`: seen in the server's event store.
create table if not exists webhooks.outbox (
    id bigint generated always as identity primary key,
    event_id uuid not null unique,
    event jsonb not null,
    delivery bigint references webhooks.deliveries (id) on delete cascade,
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    sent_at timestamptz,
    stored_at timestamptz,
    last_error text
);
create index if not exists outbox_due_at on webhooks.outbox (due_at) where stored_at is null;
create index if not exists outbox_delivery on webhooks.outbox (delivery);

-- What each deployment was last asked for: a run that reads what there is up to a position. `asks`
-- is how often since a run came of it, `run_before` the newest one before that.
create table if not exists webhooks.wakes (
    deployment uuid primary key,
    asked_position bigint not null default 0,
    asks integer not null default 0,
    run_before text,
    asked_at timestamptz not null default now()
);

-- Whoever takes positions waits for the takers before it to commit. They are therefore committed in
-- their order, and a reader may take the greatest it has seen for an exact cursor.
-- Their turn is a lock of this empty table, which roles that only read cannot take, as they could an
-- advisory one.
create table if not exists webhooks.turns ();

create or replace function webhooks.take_positions_in_order() returns trigger
language plpgsql as $$
begin
    lock table webhooks.turns in exclusive mode;
    return null;
end
$$;

create or replace trigger take_positions_in_order
before insert or update of position on webhooks.deliveries
for each statement execute function webhooks.take_positions_in_order();
