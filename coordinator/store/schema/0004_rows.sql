-- What the coordinator reads back, in the order in which rows.c reads the columns: append, never reorder.

create view espalier.search_rows as
select s.id, s.state, coalesce(s.paused_from, s.state) as paused_from, s.spec, s.seed, encode(s.model, 'hex') as model,
       s.data, s.mean, s.std, s.reward, s.calibrate, s.selection, s.reconstruct, s.recalibrate,
       (select string_agg(format('%s %s %s', f.size, encode(f.hash, 'hex'), f.name), E'\n' order by f.position)
          from espalier.search_files f where f.search = s.id) as files,
       encode(p.blob, 'hex') as profile, p.n, p.top1, p.top5, p.loss, p.points, p.curve
  from espalier.searches s left join espalier.profiles p on p.search = s.id;

create view espalier.candidate_rows as
select c.search, c.episode, c.budget, c.kind, b.frac, c.keep, c.macs, c.params, c.bytes,
       s.dense_macs, s.dense_params, s.dense_bytes,
       coalesce((select max(attempt) from espalier.attempts a
                  where (a.search, a.kind, a.episode) = (c.search, 'evaluate', c.episode)), 0) as attempts,
       r.n is not null as has_result, r.failed is not null as failed, r.n, r.top1, r.top5, r.loss,
       f.n is not null as has_final, encode(m.blob, 'hex') as model,
       coalesce((select max(attempt) from espalier.attempts a
                  where (a.search, a.kind, a.episode) = (c.search, 'export', c.episode)), 0) as exports
  from espalier.candidates c
  join espalier.searches s on s.id = c.search
  join espalier.budgets b on (b.search, b.budget) = (c.search, c.budget)
  left join espalier.results r on (r.search, r.episode) = (c.search, c.episode)
  left join espalier.finals f on (f.search, f.episode) = (c.search, c.episode)
  left join espalier.models m on (m.search, m.episode) = (c.search, c.episode);
