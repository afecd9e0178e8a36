-- What is on record. Every constraint here is a state that can't be; the functions of the next file are how rows get in.

-- One coordinator writes at a time: whoever takes over raises the epoch, and a write under an older one is refused.
create table espalier.coordinator (
    only_one boolean primary key default true check (only_one),
    epoch bigint not null default 0 check (epoch >= 0),
    host text,
    pid integer,
    since timestamptz
);
insert into espalier.coordinator default values;

create type espalier.search_state as enum
    ('profiling', 'running', 'paused', 'finishing', 'done', 'failed', 'cancelled');
create type espalier.cost_kind as enum ('flops', 'params', 'bytes');
create type espalier.task_kind as enum ('profile', 'evaluate', 'final', 'export');
create type espalier.outcome as enum ('done', 'lost', 'failed', 'cancelled', 'handed back');

create domain espalier.finite as double precision
    check (value > '-infinity'::double precision and value < 'infinity'::double precision);
create domain espalier.seconds as double precision check (value >= 0 and value < 'infinity'::double precision);

-- Content-addressed bytes: models, data files, profiles. Complete once the pieces' SHA-256 is the name.
create table espalier.blobs (
    hash bytea primary key check (octet_length(hash) = 32),
    size bigint not null check (size > 0),
    complete boolean not null default false,
    created timestamptz not null default now()
);
create table espalier.blob_chunks (
    hash bytea not null references espalier.blobs on delete cascade,
    position integer not null check (position >= 0),
    bytes bytea not null check (octet_length(bytes) between 1 and 1048576),
    primary key (hash, position)
);
-- Weights don't compress: don't try.
alter table espalier.blob_chunks alter column bytes set storage external;

create table espalier.searches (
    id bigint generated always as identity primary key,
    request uuid not null unique, -- a creation sent twice is one search
    name text not null check (name <> ''),
    spec text not null,
    state espalier.search_state not null default 'profiling',
    paused_from espalier.search_state,
    reason text,
    created timestamptz not null default now(),
    started timestamptz,
    finished timestamptz,
    seed numeric(20) not null check (seed between 0 and 18446744073709551615),
    model bytea not null references espalier.blobs,
    data text not null check (data in ('cifar10', 'cifar100', 'idx', 'synthetic')),
    mean double precision[] not null,
    std double precision[] not null,
    reward integer not null check (reward >= 0),
    calibrate integer not null check (calibrate >= 0),
    selection text not null check (selection in ('gram', 'l1')),
    reconstruct boolean not null,
    recalibrate boolean not null,
    dense_macs bigint check (dense_macs > 0),
    dense_params bigint check (dense_params > 0),
    dense_bytes bigint check (dense_bytes > 0),
    constraint paused_from_somewhere check ((state = 'paused') = (paused_from is not null)),
    constraint paused_from_running check (paused_from in ('profiling', 'running', 'finishing')),
    constraint failed_for_a_reason check ((state = 'failed') = (reason is not null)),
    constraint over_is_finished check ((state in ('done', 'failed', 'cancelled')) = (finished is not null)),
    constraint normalization_by_channel check (
        cardinality(mean) = cardinality(std) and cardinality(mean) <= 4 and 0 < all (std)
        and '-infinity' < all (mean) and 'infinity' > all (mean) and 'infinity' > all (std)),
    constraint dense_cost_whole check (num_nulls(dense_macs, dense_params, dense_bytes) in (0, 3))
);

create table espalier.search_files (
    search bigint not null references espalier.searches on delete cascade,
    position integer not null check (position >= 0),
    name text not null check (name <> '' and name !~ '[/\n]'),
    hash bytea not null references espalier.blobs,
    size bigint not null check (size > 0),
    primary key (search, position),
    unique (search, name)
);

create table espalier.budgets (
    search bigint not null references espalier.searches on delete cascade,
    budget integer not null check (budget >= 0),
    kind espalier.cost_kind not null,
    frac double precision not null check (frac > 0 and frac <= 1),
    dense bigint not null check (dense > 0),
    most bigint not null generated always as (floor(frac * dense)::bigint) stored,
    primary key (search, budget),
    unique (search, budget, kind, most)
);

create table espalier.candidates (
    search bigint not null,
    episode integer not null check (episode >= 0),
    budget integer not null,
    kind espalier.cost_kind not null,
    most bigint not null, -- what its budget allows
    keep integer[] not null,
    macs bigint not null check (macs > 0),
    params bigint not null check (params > 0),
    bytes bigint not null check (bytes > 0),
    primary key (search, episode),
    foreign key (search, budget, kind, most) references espalier.budgets (search, budget, kind, most)
        on delete cascade,
    constraint candidate_keeps_something check (coalesce(array_ndims(keep), 0) = 1 and 1 <= all (keep)),
    constraint candidate_within_budget check (
        case kind when 'flops' then macs when 'params' then params else bytes end <= most)
);

-- One try at a task under a lease. Tries of a task are numbered 1, 2, 3 ... without gaps; the highest is the one that counts.
create table espalier.attempts (
    search bigint not null references espalier.searches on delete cascade,
    kind espalier.task_kind not null,
    episode integer not null, -- -1: the search's profile
    attempt integer not null check (attempt >= 1),
    worker text not null,
    started timestamptz not null default now(),
    ended timestamptz,
    outcome espalier.outcome,
    reason text,
    candidate integer generated always as (nullif(episode, -1)) stored,
    previous integer generated always as (nullif(attempt - 1, 0)) stored,
    primary key (search, kind, episode, attempt),
    foreign key (search, candidate) references espalier.candidates (search, episode) on delete cascade,
    foreign key (search, kind, episode, previous) references espalier.attempts (search, kind, episode, attempt),
    constraint profile_has_no_episode check ((kind = 'profile') = (episode = -1)),
    constraint ended_somehow check ((ended is null) = (outcome is null))
);

create table espalier.profiles (
    search bigint primary key references espalier.searches on delete cascade,
    blob bytea not null references espalier.blobs,
    n integer not null check (n > 0),
    top1 integer not null,
    top5 integer not null,
    loss espalier.finite not null,
    points integer[] not null check (0 < all (points)), -- of each group's curve
    curve real[] not null check ('-infinity' < all (curve) and 'infinity' > all (curve)),
    seconds espalier.seconds not null,
    recorded timestamptz not null default now(),
    constraint profile_counts check (0 <= top1 and top1 <= top5 and top5 <= n)
);

-- What came of a candidate, once: counts on the reward split, or the reason why it was given up.
create table espalier.results (
    search bigint not null,
    episode integer not null,
    kind espalier.task_kind not null default 'evaluate' check (kind = 'evaluate'),
    attempt integer,
    worker text,
    seconds espalier.seconds,
    n integer,
    top1 integer,
    top5 integer,
    loss espalier.finite,
    failed text, -- the reason
    recorded timestamptz not null default now(),
    primary key (search, episode),
    foreign key (search, episode) references espalier.candidates on delete cascade,
    foreign key (search, kind, episode, attempt) references espalier.attempts (search, kind, episode, attempt),
    constraint result_or_failure check (
        num_nulls(attempt, worker, seconds, n, top1, top5, loss) = case when failed is null then 0 else 7 end),
    constraint result_counts check (n > 0 and 0 <= top1 and top1 <= top5 and top5 <= n)
);

create table espalier.models (
    search bigint not null,
    episode integer not null,
    blob bytea not null references espalier.blobs,
    made timestamptz not null default now(),
    primary key (search, episode),
    foreign key (search, episode) references espalier.candidates on delete cascade
);

-- A finalist: its score on the test set. It has been evaluated before, and its model is on record with it.
create table espalier.finals (
    search bigint not null,
    episode integer not null,
    worker text not null,
    seconds espalier.seconds not null,
    n integer not null check (n > 0),
    top1 integer not null,
    top5 integer not null,
    loss espalier.finite not null,
    recorded timestamptz not null default now(),
    primary key (search, episode),
    foreign key (search, episode) references espalier.results on delete cascade,
    foreign key (search, episode) references espalier.models on delete cascade,
    constraint final_counts check (0 <= top1 and top1 <= top5 and top5 <= n)
);

-- The policy's state after `episode`, the latest of each search.
create table espalier.snapshots (
    search bigint primary key references espalier.searches on delete cascade,
    episode integer not null check (episode >= -1),
    bytes bytea not null,
    made timestamptz not null default now()
);

comment on table espalier.searches is 'A search: model, data, spec and state';
comment on table espalier.candidates is 'Channels kept in each group, and what the network then costs; numbered by episode';
comment on table espalier.attempts is 'Tries at profiles, evaluations, finals and exports, each under a lease';
comment on table espalier.results is 'What came of a candidate on the reward split; exactly one row once it is known';
comment on table espalier.finals is 'Scores of finalists on the test set';
comment on table espalier.blobs is 'Content-addressed bytes, in blob_chunks of 1 MiB';
