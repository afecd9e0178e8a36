-- Latency: tables that predict it, budgets of it, what finalists were measured to take.

-- Predicted nanoseconds, where the search has a table.
alter table espalier.searches add dense_latency bigint check (dense_latency > 0);
alter table espalier.candidates
    add latency bigint check (latency > 0),
    drop constraint candidate_within_budget,
    add constraint candidate_within_budget check (
        case kind when 'flops' then macs when 'params' then params when 'bytes' then bytes else latency end <= most),
    add constraint latency_budget_is_predicted check (kind <> 'latency' or latency is not null);

alter table espalier.attempts
    drop constraint only_candidates_have_episodes,
    add constraint only_candidates_have_episodes check ((kind in ('profile', 'train', 'measure')) = (episode = -1));

-- The latency table of a search, once: all its proposals follow from it.
create table espalier.latency_tables (
    search bigint primary key references espalier.searches on delete cascade,
    inherited bigint references espalier.searches on delete set null, -- the search that it was measured for
    worker text not null,
    cpu text not null,
    kernels text not null,
    precision text not null,
    bytes bytea not null check (octet_length(bytes) between 1 and 1048576),
    seconds espalier.seconds not null,
    dense_ms espalier.seconds not null, -- the dense network end to end
    error_median espalier.seconds not null, -- relative, of candidates measured end to end that nothing was fitted to
    error_worst espalier.seconds not null,
    rounds integer[] not null check (0 < all (rounds)), -- of each group: what cut.round_to: auto makes of it
    recorded timestamptz not null default now()
);

-- What came of timing a candidate, once: figures at batch 1 and at another size, or the reason why it was given up.
create table espalier.timings (
    search bigint not null,
    episode integer not null,
    worker text,
    cpu text,
    kernels text,
    precision text,
    threads integer,
    ms espalier.seconds,
    dense_ms espalier.seconds,
    ratio espalier.seconds,
    spread espalier.seconds,
    batch integer,
    batch_ms espalier.seconds,
    batch_dense_ms espalier.seconds,
    batch_ratio espalier.seconds,
    batch_spread espalier.seconds,
    seconds espalier.seconds,
    failed text,
    recorded timestamptz not null default now(),
    primary key (search, episode),
    foreign key (search, episode) references espalier.results on delete cascade,
    constraint timing_or_failure check (
        num_nulls(worker, cpu, kernels, precision, threads, ms, dense_ms, ratio, spread, seconds)
            = case when failed is null then 0 else 10 end),
    constraint batch_is_whole check (num_nulls(batch, batch_ms, batch_dense_ms, batch_ratio, batch_spread) in (0, 5))
);

comment on table espalier.latency_tables is 'Latency tables: what predicts a candidate''s time, one a search that needs it';
comment on table espalier.timings is 'Candidates measured beside the dense network, by the clock, or why they could not be';

-- ---- how rows get in (0002_writes.sql has the rules)

drop function espalier.record_candidate(bigint, integer, integer, espalier.cost_kind, double precision, integer[], bigint, bigint,
                                        bigint, bigint, bigint, bigint);
create function espalier.record_candidate(
    search_ bigint, episode_ integer, budget_ integer, kind_ espalier.cost_kind, frac_ double precision, keep_ integer[],
    macs_ bigint, params_ bigint, bytes_ bigint, latency_ bigint, dense_macs_ bigint, dense_params_ bigint, dense_bytes_ bigint,
    dense_latency_ bigint
) returns void language plpgsql as $$
declare
    dense_ bigint := case kind_ when 'flops' then dense_macs_ when 'params' then dense_params_ when 'bytes' then dense_bytes_
                     else dense_latency_ end;
    was espalier.candidates;
begin
    for try in 1..2 loop
        insert into espalier.candidates (search, episode, budget, kind, most, keep, macs, params, bytes, latency)
        select search_, episode_, budget_, kind_, b.most, keep_, macs_, params_, bytes_, latency_
          from espalier.budgets b
         where (b.search, b.budget, b.kind, b.frac, b.dense) = (search_, budget_, kind_, frac_, dense_)
            on conflict do nothing;
        if found then
            return;
        end if;
        select * into was from espalier.candidates c where (c.search, c.episode) = (search_, episode_);
        if found and (was.budget, was.keep) = (budget_, keep_) then
            return;
        elsif found then
            raise exception using errcode = 'ES001', message = format(
                'search %s, episode %s is on record with other channels', search_, episode_);
        end if;
        -- The first candidate of its budget brings it.
        perform espalier.require_search(search_);
        update espalier.searches
           set dense_macs = dense_macs_, dense_params = dense_params_, dense_bytes = dense_bytes_,
               dense_latency = dense_latency_
         where id = search_ and dense_macs is null;
        insert into espalier.budgets (search, budget, kind, frac, dense)
        select id, budget_, kind_, frac_, dense_
          from espalier.searches
         where id = search_ and (dense_macs, dense_params, dense_bytes) = (dense_macs_, dense_params_, dense_bytes_)
           and dense_latency is not distinct from dense_latency_
            on conflict do nothing;
    end loop;
    raise exception using errcode = 'ES001', message = format(
        'search %s has another budget %s or dense cost on record', search_, budget_);
end $$;

create or replace function espalier.is_over(search_ bigint, kind_ espalier.task_kind, episode_ integer) returns boolean
language sql stable as $$
    select case kind_
           when 'evaluate' then exists (select from espalier.results where (search, episode) = (search_, episode_))
           when 'final' then exists (select from espalier.finals where (search, episode) = (search_, episode_))
           when 'train' then exists (select from espalier.trainings where search = search_)
           when 'measure' then exists (select from espalier.latency_tables where search = search_)
           when 'time' then exists (select from espalier.timings where (search, episode) = (search_, episode_))
           else false end
$$;

create function espalier.record_table(
    search_ bigint, attempt_ integer, worker_ text, cpu_ text, kernels_ text, precision_ text, bytes_ bytea,
    seconds_ double precision, dense_ms_ double precision, error_median_ double precision, error_worst_ double precision,
    rounds_ integer[]
) returns void language plpgsql as $$
begin
    if espalier.deliver(search_, 'measure', -1, attempt_) then
        insert into espalier.latency_tables (search, worker, cpu, kernels, precision, bytes, seconds, dense_ms, error_median,
                                             error_worst, rounds)
        values (search_, worker_, cpu_, kernels_, precision_, bytes_, seconds_, dense_ms_, error_median_, error_worst_, rounds_);
    end if;
end $$;

-- The first table that was measured for the same model on such a machine becomes this search's, too. Null: there is none.
create function espalier.inherit_table(search_ bigint, cpu_ text, kernels_ text, precision_ text) returns bytea
language plpgsql as $$
begin
    perform espalier.require_search(search_);
    insert into espalier.latency_tables (search, inherited, worker, cpu, kernels, precision, bytes, seconds, dense_ms, error_median,
                                         error_worst, rounds)
    select search_, t.search, t.worker, t.cpu, t.kernels, t.precision, t.bytes, t.seconds, t.dense_ms, t.error_median,
           t.error_worst, t.rounds
      from espalier.latency_tables t
      join espalier.searches s on s.id = t.search
     where s.model = (select model from espalier.searches where id = search_) and t.search <> search_ and t.inherited is null
       and (t.cpu, t.kernels, t.precision) = (cpu_, kernels_, precision_)
     order by t.recorded, t.search limit 1
        on conflict do nothing;
    return (select bytes from espalier.latency_tables where search = search_);
end $$;

create function espalier.record_timing(
    search_ bigint, episode_ integer, attempt_ integer, worker_ text, cpu_ text, kernels_ text, precision_ text,
    seconds_ double precision, ms_ double precision, dense_ms_ double precision, ratio_ double precision,
    spread_ double precision, batch_ integer, batch_ms_ double precision, batch_dense_ms_ double precision,
    batch_ratio_ double precision, batch_spread_ double precision
) returns void language plpgsql as $$
begin
    if espalier.deliver(search_, 'time', episode_, attempt_) then
        insert into espalier.timings (search, episode, worker, cpu, kernels, precision, threads, ms, dense_ms, ratio, spread,
                                      batch, batch_ms, batch_dense_ms, batch_ratio, batch_spread, seconds)
        values (search_, episode_, worker_, cpu_, kernels_, precision_, 1, ms_, dense_ms_, ratio_, spread_,
                batch_, batch_ms_, batch_dense_ms_, batch_ratio_, batch_spread_, seconds_);
    end if;
end $$;

create function espalier.give_up_timing(search_ bigint, episode_ integer, reason_ text) returns void language plpgsql as $$
begin
    perform espalier.require_candidate(search_, episode_);
    insert into espalier.timings (search, episode, failed) values (search_, episode_, reason_) on conflict do nothing;
    if not found and exists (
        select from espalier.timings where (search, episode) = (search_, episode_) and failed is null) then
        raise exception using errcode = 'ES001', message = format('search %s, episode %s has been timed', search_, episode_);
    end if;
end $$;

-- ---- what people and the HTTP API read

create or replace view espalier.scores as
select c.search, c.episode, format('%s %s', c.kind, b.frac) as budget, c.keep as kept,
       t.top1::double precision / t.n as top1, t.top5::double precision / t.n as top5,
       c.macs, c.macs::double precision / s.dense_macs as macs_ratio,
       c.params, c.params::double precision / s.dense_params as params_ratio,
       c.bytes, c.bytes::double precision / s.dense_bytes as bytes_ratio,
       case t.stage when 'final' then m.ms else coalesce(c.latency / 1e6::double precision, m.ms) end as latency_ms,
       case t.stage when 'final' then m.ratio else coalesce(c.latency::double precision / s.dense_latency, m.ratio) end
           as latency_ratio,
       t.stage
  from espalier.candidates c
  join espalier.searches s on s.id = c.search
  join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
  join (select search, episode, n, top1, top5, 'proxy' as stage from espalier.results where failed is null
        union all
        select search, episode, n, top1, top5, 'final' from espalier.finals where failed is null) t
    on (t.search, t.episode) = (c.search, c.episode)
  left join espalier.timings m on (m.search, m.episode) = (c.search, c.episode);
comment on view espalier.scores is
    'Candidates with their scores as fractions: stage proxy on the reward split, final on the test set. Latency is measured for '
    'finals; for proxies it is what the search''s table predicts, or without one what was measured';

create or replace function espalier.require_axis(x text) returns void language plpgsql immutable as $$
begin
    if x is null or x not in ('flops', 'params', 'bytes', 'latency') then
        raise exception using errcode = 'ES003', message = format('"%s" isn''t one of flops, params, bytes, latency', x);
    end if;
end $$;

-- Sorted by cost, a candidate is on the front when it beats all that are cheaper: one pass over the sorted rows.
create or replace function espalier.pareto(search bigint, x text default 'flops') returns setof espalier.scores
language plpgsql stable rows 20 as $$
begin
    perform espalier.require_search(search);
    perform espalier.require_axis(x);
    return query
        with priced as (
            select s as score, s.episode, s.top1,
                   case x when 'flops' then s.macs when 'params' then s.params when 'bytes' then s.bytes
                          else s.latency_ms end as cost
              from espalier.scores s
             where s.search = pareto.search and s.stage = 'proxy'),
        ranked as (
            select score, episode, top1, cost,
                   max(top1) over (order by cost, top1 desc, episode
                                   rows between unbounded preceding and 1 preceding) as best_of_cheaper
              from priced
             where cost is not null)
        select (r.score).*
          from ranked r
         where r.best_of_cheaper is null or r.top1 > r.best_of_cheaper
         order by r.cost;
end $$;
comment on function espalier.pareto(bigint, text) is
    'The front of a search: candidates that no other beats in top1 (reward split) and cost at once, cheapest first; of equals the earliest. '
    'x: flops (default), params, bytes or latency (of those that have one). Example: select episode, top1, macs_ratio from espalier.pareto(7)';

-- What was measured of a candidate; null: nothing. `within`: not slower than its latency budget by more than the spread; null: it has
-- no such budget.
create function espalier.timing_json(search_ bigint, episode_ integer) returns json language sql stable as $$
    select json_build_object(
               'batch', 1, 'ms', t.ms, 'dense_ms', t.dense_ms, 'ratio', t.ratio, 'spread', t.spread,
               'other', case when t.batch is not null then json_build_object(
                   'batch', t.batch, 'ms', t.batch_ms, 'dense_ms', t.batch_dense_ms, 'ratio', t.batch_ratio,
                   'spread', t.batch_spread) end,
               'within', case c.kind when 'latency' then t.ratio <= b.frac + t.spread end,
               'worker', t.worker, 'cpu', t.cpu, 'kernels', t.kernels, 'threads', t.threads, 'precision', t.precision,
               'failed', t.failed)
      from espalier.timings t
      join espalier.candidates c using (search, episode)
      join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
     where (t.search, t.episode) = (search_, episode_)
$$;

create or replace function espalier.dense_json(search_ bigint) returns json language sql stable as $$
    select json_build_object(
               'n', p.n, 'top1', p.top1::double precision / p.n, 'top5', p.top5::double precision / p.n,
               'macs', s.dense_macs, 'params', s.dense_params, 'bytes', s.dense_bytes,
               'latency_ms', s.dense_latency / 1e6::double precision)
      from espalier.searches s left join espalier.profiles p on p.search = s.id
     where s.id = search_
$$;

create or replace function espalier.best_json(search_ bigint) returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'budget', b.budget, 'episode', b.episode, 'top1', b.top1, 'top5', b.top5, 'macs_ratio', b.macs_ratio,
               'params_ratio', b.params_ratio, 'bytes_ratio', b.bytes_ratio, 'latency_ratio', b.latency_ratio) order by b.nr), '[]')
      from (select distinct on (c.budget) c.budget as nr, s.*
              from espalier.scores s join espalier.candidates c using (search, episode)
             where s.search = search_ and s.stage = 'proxy'
             order by c.budget, s.top1 desc, s.macs, s.episode) b
$$;

-- The table that the search's predictions come from; null: it has none.
create function espalier.table_json(search_ bigint) returns json language sql stable as $$
    select json_build_object(
               'worker', t.worker, 'cpu', t.cpu, 'kernels', t.kernels, 'precision', t.precision, 'threads', 1, 'batch', 1,
               'dense_ms', t.dense_ms, 'error_median', t.error_median, 'error_worst', t.error_worst, 'seconds', t.seconds,
               'inherited', t.inherited, 'rounds', t.rounds)
      from espalier.latency_tables t where t.search = search_
$$;

create or replace function espalier.finalists_json(search_ bigint) returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'episode', f.episode, 'epoch', coalesce(e.done, 0), 'epochs', s.epochs,
               'state', case when r.failed is not null then 'failed'
                             when r.n is not null then 'done'
                             when exists (select from espalier.attempts a
                                           where (a.search, a.kind, a.episode) = (f.search, 'final', f.episode)
                                             and a.outcome is null) then 'running'
                             else 'waiting' end,
               'reason', r.failed, 'timing', espalier.timing_json(f.search, f.episode)) order by f.episode), '[]')
      from espalier.finalists f
      join espalier.searches s on s.id = f.search
      left join espalier.finals r on (r.search, r.episode) = (f.search, f.episode)
      left join espalier.epochs e on (e.search, e.kind, e.episode) = (f.search, 'final', f.episode)
     where f.search = search_
$$;

create or replace function espalier.report_status(search_ bigint) returns json language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    return (
        select json_build_object(
                   'id', s.id, 'name', s.name, 'job', s.job, 'state', s.state, 'paused_from', s.paused_from,
                   'reason', s.reason, 'created', s.created, 'started', s.started, 'finished', s.finished, 'spec', s.spec,
                   'proposed', (select count(*) from espalier.candidates where search = s.id),
                   'evaluated', r.evaluated, 'failed', r.failed,
                   'dense', espalier.dense_json(s.id), 'best', espalier.best_json(s.id), 'table', espalier.table_json(s.id),
                   'seconds', r.seconds, 'per_minute', t.per_minute,
                   'finals', (select count(*) from espalier.finals f where f.search = s.id and f.failed is null),
                   'finalists', espalier.finalists_json(s.id), 'epochs', s.epochs,
                   'epochs_done', case s.job when 'training' then coalesce((
                       select e.done from espalier.epochs e where (e.search, e.kind) = (s.id, 'train')), 0) end,
                   'test', (
                       select json_build_object('n', m.n, 'top1', m.top1::double precision / m.n,
                                                'top5', m.top5::double precision / m.n, 'loss', m.loss)
                         from espalier.trainings m where m.search = s.id))
          from espalier.searches s,
               lateral (select count(n) as evaluated, count(failed) as failed, avg(seconds) as seconds
                          from espalier.results where search = s.id) r,
               lateral (select (60 * (count(*) - 1)
                                / nullif(extract(epoch from max(recorded) - min(recorded)), 0))::double precision as per_minute
                          from (select recorded from espalier.results
                                 where search = s.id and failed is null order by episode desc limit 50) last) t
         where s.id = search_);
end $$;

create or replace function espalier.report_candidate(search_ bigint, episode_ integer) returns json
language plpgsql stable as $$
begin
    perform espalier.require_candidate(search_, episode_);
    return (
        select json_build_object(
                   'episode', c.episode, 'budget', format('%s %s', c.kind, b.frac), 'kept', c.keep,
                   'top1', r.top1::double precision / r.n, 'top5', r.top5::double precision / r.n,
                   'macs', c.macs, 'macs_ratio', c.macs::double precision / s.dense_macs,
                   'params', c.params, 'params_ratio', c.params::double precision / s.dense_params,
                   'bytes', c.bytes, 'bytes_ratio', c.bytes::double precision / s.dense_bytes,
                   'latency_ms', coalesce(c.latency / 1e6::double precision, m.ms),
                   'latency_ratio', coalesce(c.latency::double precision / s.dense_latency, m.ratio), 'stage', 'proxy',
                   'state', case when r.failed is not null then 'failed' when r.n is not null then 'done' else 'waiting' end,
                   'reason', r.failed, 'n', r.n, 'loss', r.loss, 'seconds', r.seconds, 'worker', r.worker,
                   'attempts', (
                       select coalesce(json_agg(json_build_object(
                                  'kind', a.kind, 'attempt', a.attempt, 'worker', a.worker, 'started', a.started,
                                  'ended', a.ended, 'outcome', a.outcome, 'reason', a.reason) order by a.kind, a.attempt), '[]')
                         from espalier.attempts a
                        where a.search = c.search and a.candidate = c.episode),
                   'final', (
                       select json_build_object('n', f.n, 'top1', f.top1::double precision / f.n,
                                                'top5', f.top5::double precision / f.n, 'loss', f.loss)
                         from espalier.finals f
                        where (f.search, f.episode) = (c.search, c.episode) and f.failed is null),
                   'final_failed', (select f.failed from espalier.finals f where (f.search, f.episode) = (c.search, c.episode)),
                   'timing', espalier.timing_json(c.search, c.episode),
                   'model', (select encode(x.blob, 'hex') from espalier.models x
                              where (x.search, x.episode) = (c.search, c.episode)))
          from espalier.candidates c
          join espalier.searches s on s.id = c.search
          join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
          left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
          left join espalier.timings m on (m.search, m.episode) = (c.search, c.episode)
         where (c.search, c.episode) = (search_, episode_));
end $$;

-- ---- what rows.c reads

create or replace view espalier.search_rows as
select s.id, s.state, coalesce(s.paused_from, s.state) as paused_from, s.spec, s.seed, encode(s.model, 'hex') as model,
       s.data, s.mean, s.std, s.reward, s.calibrate, s.selection, s.reconstruct, s.recalibrate,
       (select string_agg(format('%s %s %s', f.size, encode(f.hash, 'hex'), f.name), E'\n' order by f.position)
          from espalier.search_files f where f.search = s.id) as files,
       encode(p.blob, 'hex') as profile, p.n, p.top1, p.top5, p.loss, p.points, p.curve,
       s.precision, encode(s.finetune_teacher, 'hex') as finetune_teacher, encode(s.finish_teacher, 'hex') as finish_teacher,
       exists (select from espalier.trainings t where t.search = s.id) as trained,
       (select encode(t.bytes, 'hex') from espalier.latency_tables t where t.search = s.id) as latency_table
  from espalier.searches s left join espalier.profiles p on p.search = s.id;

create or replace view espalier.candidate_rows as
select c.search, c.episode, c.budget, c.kind, b.frac, c.keep, c.macs, c.params, c.bytes,
       s.dense_macs, s.dense_params, s.dense_bytes,
       coalesce((select max(attempt) from espalier.attempts a
                  where (a.search, a.kind, a.episode) = (c.search, 'evaluate', c.episode)), 0) as attempts,
       r.n is not null as has_result, r.failed is not null as failed, r.n, r.top1, r.top5, r.loss,
       f.n is not null as has_final, encode(m.blob, 'hex') as model,
       coalesce((select max(attempt) from espalier.attempts a
                  where (a.search, a.kind, a.episode) = (c.search, 'export', c.episode)), 0) as exports,
       f.failed is not null as final_failed,
       (select count(*) from espalier.attempts a
         where (a.search, a.kind, a.episode, a.outcome) = (c.search, 'evaluate', c.episode, 'diverged')) as diverged,
       c.latency, s.dense_latency, t.ms is not null as has_timing, t.failed is not null as timing_failed, t.ratio, t.spread
  from espalier.candidates c
  join espalier.searches s on s.id = c.search
  join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
  left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
  left join espalier.finals f on (f.search, f.episode) = (c.search, c.episode)
  left join espalier.models m on (m.search, m.episode) = (c.search, c.episode)
  left join espalier.timings t on (t.search, t.episode) = (c.search, c.episode);
