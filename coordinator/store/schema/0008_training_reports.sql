-- Training in what people and the HTTP API read, and in what the coordinator reads back.

create or replace view espalier.scores as
select c.search, c.episode, format('%s %s', c.kind, b.frac) as budget, c.keep as kept,
       t.top1::double precision / t.n as top1, t.top5::double precision / t.n as top5,
       c.macs, c.macs::double precision / s.dense_macs as macs_ratio,
       c.params, c.params::double precision / s.dense_params as params_ratio,
       c.bytes, c.bytes::double precision / s.dense_bytes as bytes_ratio,
       null::double precision as latency_ms, null::double precision as latency_ratio, t.stage
  from espalier.candidates c
  join espalier.searches s on s.id = c.search
  join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
  join (select search, episode, n, top1, top5, 'proxy' as stage from espalier.results where failed is null
        union all
        select search, episode, n, top1, top5, 'final' from espalier.finals where failed is null) t
    on (t.search, t.episode) = (c.search, c.episode);

-- Epochs of a search's latest trainings, task by task.
create view espalier.epochs as
select search, kind, episode, max(epoch) as done from espalier.curves group by search, kind, episode;
comment on view espalier.epochs is 'Epochs done of each finalist and training job';

create or replace function espalier.report_searches() returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'id', s.id, 'name', s.name, 'job', s.job, 'state', s.state, 'created', s.created, 'finished', s.finished,
               'proposed', (select count(*) from espalier.candidates c where c.search = s.id),
               'evaluated', r.evaluated, 'best', coalesce(r.best, t.top1::double precision / t.n),
               'epochs_done', case s.job when 'training' then coalesce(e.done, 0) end,
               'epochs', case s.job when 'training' then s.epochs end) order by s.id desc), '[]')
      from espalier.searches s
      left join espalier.trainings t on t.search = s.id
      left join espalier.epochs e on (e.search, e.kind) = (s.id, 'train')
      cross join lateral (
          select count(*) as evaluated, max(top1::double precision / n) as best
            from espalier.results where search = s.id and failed is null) r
$$;

create function espalier.finalists_json(search_ bigint) returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'episode', f.episode, 'epoch', coalesce(e.done, 0), 'epochs', s.epochs,
               'state', case when r.failed is not null then 'failed'
                             when r.n is not null then 'done'
                             when exists (select from espalier.attempts a
                                           where (a.search, a.kind, a.episode) = (f.search, 'final', f.episode)
                                             and a.outcome is null) then 'running'
                             else 'waiting' end,
               'reason', r.failed) order by f.episode), '[]')
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
                   'dense', espalier.dense_json(s.id), 'best', espalier.best_json(s.id),
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
                   'latency_ms', null, 'latency_ratio', null, 'stage', 'proxy',
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
                   'model', (select encode(m.blob, 'hex') from espalier.models m
                              where (m.search, m.episode) = (c.search, c.episode)))
          from espalier.candidates c
          join espalier.searches s on s.id = c.search
          join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
          left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
         where (c.search, c.episode) = (search_, episode_));
end $$;

-- Of all the search's trainings, or of one finalist's.
create function espalier.report_curve(search_ bigint, episode_ integer) returns json language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    if episode_ is not null then
        perform espalier.require_candidate(search_, episode_);
    end if;
    return (
        select coalesce(json_agg(json_build_object(
                   'episode', nullif(c.episode, -1), 'epoch', c.epoch, 'lr', c.lr, 'loss', c.loss, 'top1', c.top1,
                   'seconds', c.seconds, 'worker', c.worker, 'recorded', c.recorded) order by c.episode, c.epoch), '[]')
          from espalier.curves c
         where c.search = search_ and (episode_ is null or c.episode = episode_));
end $$;

create function espalier.training_model(search_ bigint) returns text language plpgsql stable as $$
declare
    s espalier.searches;
    made bytea;
begin
    perform espalier.require_search(search_);
    select * into s from espalier.searches where id = search_;
    select blob into made from espalier.trainings where search = search_;
    if s.job <> 'training' then
        raise exception using errcode = 'ES002', message = format(
            'search %s trains no model: its models are its candidates''', search_);
    elsif made is null then
        raise exception using errcode = 'ES001', message = format('training %s has no model: it is %s', search_, s.state);
    end if;
    return encode(made, 'hex');
end $$;

-- ---- what rows.c reads

create or replace view espalier.search_rows as
select s.id, s.state, coalesce(s.paused_from, s.state) as paused_from, s.spec, s.seed, encode(s.model, 'hex') as model,
       s.data, s.mean, s.std, s.reward, s.calibrate, s.selection, s.reconstruct, s.recalibrate,
       (select string_agg(format('%s %s %s', f.size, encode(f.hash, 'hex'), f.name), E'\n' order by f.position)
          from espalier.search_files f where f.search = s.id) as files,
       encode(p.blob, 'hex') as profile, p.n, p.top1, p.top5, p.loss, p.points, p.curve,
       s.precision, encode(s.finetune_teacher, 'hex') as finetune_teacher, encode(s.finish_teacher, 'hex') as finish_teacher,
       exists (select from espalier.trainings t where t.search = s.id) as trained
  from espalier.searches s left join espalier.profiles p on p.search = s.id;

create view espalier.task_rows as
select a.kind, a.search, a.episode, max(a.attempt) as attempt, count(*) filter (where a.outcome = 'diverged') as diverged,
       c.epoch, encode(c.blob, 'hex') as checkpoint
  from espalier.attempts a left join espalier.checkpoints c using (search, kind, episode)
 group by a.kind, a.search, a.episode, c.epoch, c.blob;

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
         where (a.search, a.kind, a.episode, a.outcome) = (c.search, 'evaluate', c.episode, 'diverged')) as diverged
  from espalier.candidates c
  join espalier.searches s on s.id = c.search
  join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
  left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
  left join espalier.finals f on (f.search, f.episode) = (c.search, c.episode)
  left join espalier.models m on (m.search, m.episode) = (c.search, c.episode);
