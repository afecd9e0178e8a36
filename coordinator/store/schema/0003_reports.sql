-- What people and the HTTP API read.

create view espalier.scores as
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
        select search, episode, n, top1, top5, 'final' from espalier.finals) t
    on (t.search, t.episode) = (c.search, c.episode);
comment on view espalier.scores is
    'Candidates with their scores as fractions: stage proxy on the reward split, final on the test set';

create function espalier.require_axis(x text) returns void language plpgsql immutable as $$
begin
    if x is null or x not in ('flops', 'params', 'bytes') then
        raise exception using errcode = 'ES003', message = format('"%s" isn''t one of flops, params, bytes', x);
    end if;
end $$;

-- Sorted by cost, a candidate is on the front when it beats all that are cheaper: one pass over the sorted rows.
create function espalier.pareto(search bigint, x text default 'flops') returns setof espalier.scores
language plpgsql stable rows 20 as $$
begin
    perform espalier.require_search(search);
    perform espalier.require_axis(x);
    return query
        with priced as (
            select s as score, s.episode, s.top1,
                   case x when 'flops' then s.macs when 'params' then s.params else s.bytes end as cost
              from espalier.scores s
             where s.search = pareto.search and s.stage = 'proxy'),
        ranked as (
            select score, episode, top1, cost,
                   max(top1) over (order by cost, top1 desc, episode
                                   rows between unbounded preceding and 1 preceding) as best_of_cheaper
              from priced)
        select (r.score).*
          from ranked r
         where r.best_of_cheaper is null or r.top1 > r.best_of_cheaper
         order by r.cost;
end $$;
comment on function espalier.pareto(bigint, text) is
    'The front of a search: candidates that no other beats in top1 (reward split) and cost at once, cheapest first; of equals the earliest. '
    'x: flops (default), params or bytes. Example: select episode, top1, macs_ratio from espalier.pareto(7)';

create function espalier.score_json(s espalier.scores) returns json language sql immutable as $$
    select json_build_object(
        'episode', s.episode, 'budget', s.budget, 'kept', s.kept, 'top1', s.top1, 'top5', s.top5, 'macs', s.macs,
        'macs_ratio', s.macs_ratio, 'params', s.params, 'bytes', s.bytes, 'latency_ms', s.latency_ms,
        'latency_ratio', s.latency_ratio, 'stage', s.stage)
$$;

create function espalier.report_searches() returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'id', s.id, 'name', s.name, 'state', s.state, 'created', s.created, 'finished', s.finished,
               'proposed', (select count(*) from espalier.candidates c where c.search = s.id),
               'evaluated', r.evaluated, 'best', r.best) order by s.id desc), '[]')
      from espalier.searches s
      cross join lateral (
          select count(*) as evaluated, max(top1::double precision / n) as best
            from espalier.results where search = s.id and failed is null) r
$$;

create function espalier.dense_json(search_ bigint) returns json language sql stable as $$
    select json_build_object(
               'n', p.n, 'top1', p.top1::double precision / p.n, 'top5', p.top5::double precision / p.n,
               'macs', s.dense_macs, 'params', s.dense_params, 'bytes', s.dense_bytes)
      from espalier.searches s left join espalier.profiles p on p.search = s.id
     where s.id = search_
$$;

-- The best of each budget: highest accuracy, then cheapest, then earliest.
create function espalier.best_json(search_ bigint) returns json language sql stable as $$
    select coalesce(json_agg(json_build_object(
               'budget', b.budget, 'episode', b.episode, 'top1', b.top1, 'top5', b.top5, 'macs_ratio', b.macs_ratio,
               'params_ratio', b.params_ratio, 'bytes_ratio', b.bytes_ratio) order by b.nr), '[]')
      from (select distinct on (c.budget) c.budget as nr, s.*
              from espalier.scores s join espalier.candidates c using (search, episode)
             where s.search = search_ and s.stage = 'proxy'
             order by c.budget, s.top1 desc, s.macs, s.episode) b
$$;

create function espalier.report_status(search_ bigint) returns json language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    return (
        select json_build_object(
                   'id', s.id, 'name', s.name, 'state', s.state, 'paused_from', s.paused_from, 'reason', s.reason,
                   'created', s.created, 'started', s.started, 'finished', s.finished, 'spec', s.spec,
                   'proposed', (select count(*) from espalier.candidates where search = s.id),
                   'evaluated', r.evaluated, 'failed', r.failed,
                   'dense', espalier.dense_json(s.id), 'best', espalier.best_json(s.id),
                   'seconds', r.seconds, 'per_minute', t.per_minute,
                   'finals', (select count(*) from espalier.finals where search = s.id))
          from espalier.searches s,
               lateral (select count(n) as evaluated, count(failed) as failed, avg(seconds) as seconds
                          from espalier.results where search = s.id) r,
               lateral (select (60 * (count(*) - 1)
                                / nullif(extract(epoch from max(recorded) - min(recorded)), 0))::double precision as per_minute
                          from (select recorded from espalier.results
                                 where search = s.id and failed is null order by episode desc limit 50) last) t
         where s.id = search_);
end $$;

create function espalier.report_candidates(search_ bigint) returns json language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    return (select coalesce(json_agg(espalier.score_json(s) order by s.episode, s.stage desc), '[]')
              from espalier.scores s where s.search = search_);
end $$;

create function espalier.report_pareto(search_ bigint, x text) returns json language sql stable as $$
    select coalesce(json_agg(espalier.score_json(p)), '[]') from espalier.pareto(search_, x) p
$$;

create function espalier.report_candidate(search_ bigint, episode_ integer) returns json language plpgsql stable as $$
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
                         from espalier.finals f where (f.search, f.episode) = (c.search, c.episode)),
                   'model', (select encode(m.blob, 'hex') from espalier.models m
                              where (m.search, m.episode) = (c.search, c.episode)))
          from espalier.candidates c
          join espalier.searches s on s.id = c.search
          join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
          left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
         where (c.search, c.episode) = (search_, episode_));
end $$;

-- One line an episode: "12 8,16,24 4711 4998", number, channels kept, correct counts.
create function espalier.report_digest(search_ bigint) returns json language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    return (
        select json_build_object(
                   'digest', encode(sha256(convert_to(coalesce(string_agg(
                       format(E'%s %s %s %s\n', c.episode, array_to_string(c.keep, ','), r.top1, r.top5),
                       '' order by c.episode), ''), 'UTF8')), 'hex'),
                   'episodes', count(*))
          from espalier.candidates c join espalier.results r using (search, episode)
         where c.search = search_ and r.failed is null);
end $$;
