-- How rows get in. Each function may be called twice with the same arguments: the second time changes nothing. What isn't
-- possible is raised with a code of ours: ES001 not in this state, ES002 not known, ES003 wrong, ES009 another
-- coordinator has taken over.

-- First in every transaction that writes. The lock on the row makes a take-over wait for it, and it for a take-over.
create function espalier.fence(epoch_ bigint) returns void language plpgsql as $$
begin
    perform from espalier.coordinator c where c.epoch = epoch_ for share;
    if not found then
        raise exception using errcode = 'ES009', message = (
            select format('another coordinator has taken over: %s, epoch %s after %s', coalesce(c.host, '?'), c.epoch, epoch_)
              from espalier.coordinator c);
    end if;
end $$;

-- First on every connection after the first. What is left of the one before it is ended, lest it holds locks that the writes
-- sent again would wait for; the writer's connection has the writer's lock again. Returns when this session began.
create function espalier.join_session(
    epoch_ bigint, old_pid integer, old_began timestamptz, lock_ bigint
) returns timestamptz language plpgsql as $$
begin
    perform set_config(name, value, false)
       from (values ('timezone', 'UTC'), ('statement_timeout', '30s'), ('lock_timeout', '20s'),
                    ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3')) v (name, value);
    if current_setting('synchronous_commit') <> 'remote_apply' then
        perform set_config('synchronous_commit', 'on', false);
    end if;
    perform espalier.fence(epoch_);
    perform pg_terminate_backend(pid, 2000) from pg_stat_activity where pid = old_pid and backend_start = old_began;
    if lock_ is not null and not pg_try_advisory_lock(lock_) then
        raise exception using errcode = 'ES010', message = 'another session holds the writer''s lock';
    end if;
    return (select backend_start from pg_stat_activity where pid = pg_backend_pid());
end $$;

create function espalier.take_over(host_ text, pid_ integer) returns bigint language sql as $$
    update espalier.coordinator set epoch = epoch + 1, host = host_, pid = pid_, since = now() returning epoch
$$;

create function espalier.require_search(search_ bigint) returns void language plpgsql stable as $$
begin
    if not exists (select from espalier.searches where id = search_) then
        raise exception using errcode = 'ES002', message = format('search %s isn''t known', search_);
    end if;
end $$;

create function espalier.require_candidate(search_ bigint, episode_ integer) returns void language plpgsql stable as $$
begin
    perform espalier.require_search(search_);
    if not exists (select from espalier.candidates where (search, episode) = (search_, episode_)) then
        raise exception using errcode = 'ES002', message = format('search %s has no episode %s', search_, episode_);
    end if;
end $$;

create function espalier.require_blob(hash_ bytea) returns void language plpgsql stable as $$
begin
    if not exists (select from espalier.blobs where hash = hash_ and complete) then
        raise exception using errcode = 'ES002', message = format('blob %s isn''t on record', encode(hash_, 'hex'));
    end if;
end $$;

-- ---- searches

create function espalier.create_search(
    request_ uuid, name_ text, spec_ text, seed_ numeric, model_ bytea, data_ text, mean_ double precision[],
    std_ double precision[], reward_ integer, calibrate_ integer, selection_ text, reconstruct_ boolean,
    recalibrate_ boolean, names text[], hashes text[], sizes bigint[]
) returns bigint language plpgsql as $$
declare
    made bigint;
begin
    select id into made from espalier.searches where request = request_;
    if found then
        return made;
    end if;
    perform espalier.require_blob(model_);
    perform espalier.require_blob(decode(h, 'hex')) from unnest(hashes) h;
    insert into espalier.searches (request, name, spec, seed, model, data, mean, std, reward, calibrate, selection,
                                   reconstruct, recalibrate)
    values (request_, name_, spec_, seed_, model_, data_, mean_, std_, reward_, calibrate_, selection_,
            reconstruct_, recalibrate_)
    returning id into made;
    insert into espalier.search_files (search, position, name, hash, size)
    select made, f.nr - 1, f.name, decode(f.hash, 'hex'), f.size
      from unnest(names, hashes, sizes) with ordinality f (name, hash, size, nr);
    return made;
end $$;

create function espalier.move_search(
    search_ bigint, to_ espalier.search_state, paused_from_ espalier.search_state, reason_ text
) returns void language plpgsql as $$
declare
    was espalier.search_state;
begin
    perform espalier.require_search(search_);
    select state into was from espalier.searches where id = search_ for update;
    if was = to_ and was <> 'paused' then
        return;
    end if;
    if was in ('done', 'failed', 'cancelled') then
        raise exception using errcode = 'ES001', message = format('search %s is %s', search_, was);
    end if;
    update espalier.searches
       set state = to_, paused_from = paused_from_, reason = reason_,
           started = case when to_ = 'running' then coalesce(started, now()) else started end,
           finished = case when to_ in ('done', 'failed', 'cancelled') then now() end
     where id = search_;
end $$;

-- ---- candidates and attempts

create function espalier.record_candidate(
    search_ bigint, episode_ integer, budget_ integer, kind_ espalier.cost_kind, frac_ double precision, keep_ integer[],
    macs_ bigint, params_ bigint, bytes_ bigint, dense_macs_ bigint, dense_params_ bigint, dense_bytes_ bigint
) returns void language plpgsql as $$
declare
    dense_ bigint := case kind_ when 'flops' then dense_macs_ when 'params' then dense_params_ else dense_bytes_ end;
    was espalier.candidates;
begin
    for try in 1..2 loop
        insert into espalier.candidates (search, episode, budget, kind, most, keep, macs, params, bytes)
        select search_, episode_, budget_, kind_, b.most, keep_, macs_, params_, bytes_
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
           set dense_macs = dense_macs_, dense_params = dense_params_, dense_bytes = dense_bytes_
         where id = search_ and dense_macs is null;
        insert into espalier.budgets (search, budget, kind, frac, dense)
        select id, budget_, kind_, frac_, dense_
          from espalier.searches
         where id = search_ and (dense_macs, dense_params, dense_bytes) = (dense_macs_, dense_params_, dense_bytes_)
            on conflict do nothing;
    end loop;
    raise exception using errcode = 'ES001', message = format(
        'search %s has another budget %s or dense cost on record', search_, budget_);
end $$;

create function espalier.begin_attempt(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer, worker_ text
) returns void language plpgsql as $$
begin
    insert into espalier.attempts (search, kind, episode, attempt, worker)
    select search_, kind_, episode_, attempt_, worker_
     where kind_ <> 'evaluate'
        or not exists (select from espalier.results where (search, episode) = (search_, episode_))
        on conflict do nothing;
    if not found and not exists (
        select from espalier.attempts
         where (search, kind, episode, attempt, worker) = (search_, kind_, episode_, attempt_, worker_)) then
        raise exception using errcode = 'ES001', message = format(
            '%s of search %s, episode %s: attempt %s is taken, or not wanted any more', kind_, search_, episode_, attempt_);
    end if;
end $$;

create function espalier.end_attempt(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer, outcome_ espalier.outcome, reason_ text
) returns void language plpgsql as $$
declare
    was espalier.attempts;
begin
    update espalier.attempts set ended = now(), outcome = outcome_, reason = reason_
     where (search, kind, episode, attempt) = (search_, kind_, episode_, attempt_) and outcome is null;
    if found then
        return;
    end if;
    select * into was from espalier.attempts
     where (search, kind, episode, attempt) = (search_, kind_, episode_, attempt_);
    if not found then
        raise exception using errcode = 'ES002', message = format(
            '%s of search %s, episode %s has no attempt %s', kind_, search_, episode_, attempt_);
    elsif was.outcome <> outcome_ then
        raise exception using errcode = 'ES001', message = format(
            '%s of search %s, episode %s: attempt %s has ended: %s', kind_, search_, episode_, attempt_, was.outcome);
    end if;
end $$;

-- An attempt delivers. True when that is news, false when its result is on record already; a replaced one is refused. One that
-- was thought lost and hasn't been replaced still counts.
create function espalier.deliver(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer
) returns boolean language plpgsql as $$
declare
    was espalier.attempts;
    highest integer;
begin
    update espalier.attempts a set ended = now(), outcome = 'done', reason = null
     where (a.search, a.kind, a.episode, a.attempt) = (search_, kind_, episode_, attempt_)
       and a.outcome is distinct from 'done'
       and not exists (
           select from espalier.attempts b
            where (b.search, b.kind, b.episode, b.attempt) = (search_, kind_, episode_, attempt_ + 1));
    if found then
        return true;
    end if;
    select * into was from espalier.attempts a
     where (a.search, a.kind, a.episode, a.attempt) = (search_, kind_, episode_, attempt_);
    if not found then
        raise exception using errcode = 'ES002', message = format(
            '%s of search %s, episode %s has no attempt %s', kind_, search_, episode_, attempt_);
    elsif was.outcome = 'done' then
        return false;
    end if;
    select max(a.attempt) into highest from espalier.attempts a
     where (a.search, a.kind, a.episode) = (search_, kind_, episode_);
    raise exception using errcode = 'ES001', message = format('attempt %s was replaced by %s', attempt_, highest);
end $$;

-- ---- what comes of them

create function espalier.record_profile(
    search_ bigint, attempt_ integer, blob_ bytea, n_ integer, top1_ integer, top5_ integer, loss_ double precision,
    points_ integer[], curve_ real[], seconds_ double precision
) returns void language plpgsql as $$
begin
    if not espalier.deliver(search_, 'profile', -1, attempt_) then
        return;
    end if;
    perform espalier.require_blob(blob_);
    if cardinality(curve_) <> (select coalesce(sum(p), 0) from unnest(points_) p) then
        raise exception using errcode = 'ES003', message = format(
            'profile of search %s: %s points in %s curves don''t add up', search_, cardinality(curve_), cardinality(points_));
    end if;
    insert into espalier.profiles (search, blob, n, top1, top5, loss, points, curve, seconds)
    values (search_, blob_, n_, top1_, top5_, loss_, points_, curve_, seconds_);
end $$;

create function espalier.record_result(
    search_ bigint, episode_ integer, attempt_ integer, worker_ text, seconds_ double precision, n_ integer,
    top1_ integer, top5_ integer, loss_ double precision
) returns void language plpgsql as $$
begin
    if not espalier.deliver(search_, 'evaluate', episode_, attempt_) then
        return;
    end if;
    insert into espalier.results (search, episode, attempt, worker, seconds, n, top1, top5, loss)
    values (search_, episode_, attempt_, worker_, seconds_, n_, top1_, top5_, loss_)
        on conflict do nothing;
    if not found then
        raise exception using errcode = 'ES001', message = format('search %s, episode %s was given up', search_, episode_);
    end if;
end $$;

create function espalier.give_up(search_ bigint, episode_ integer, reason_ text) returns void language plpgsql as $$
begin
    perform espalier.require_candidate(search_, episode_);
    insert into espalier.results (search, episode, failed) values (search_, episode_, reason_) on conflict do nothing;
    if not found and exists (
        select from espalier.results where (search, episode) = (search_, episode_) and failed is null) then
        raise exception using errcode = 'ES001', message = format('search %s, episode %s has its result', search_, episode_);
    end if;
end $$;

create function espalier.record_export(
    search_ bigint, episode_ integer, attempt_ integer, blob_ bytea
) returns void language plpgsql as $$
begin
    if espalier.deliver(search_, 'export', episode_, attempt_) then
        perform espalier.require_blob(blob_);
        insert into espalier.models (search, episode, blob) values (search_, episode_, blob_) on conflict do nothing;
    end if;
end $$;

create function espalier.record_final(
    search_ bigint, episode_ integer, attempt_ integer, worker_ text, seconds_ double precision, n_ integer,
    top1_ integer, top5_ integer, loss_ double precision, blob_ bytea
) returns void language plpgsql as $$
begin
    if espalier.deliver(search_, 'final', episode_, attempt_) then
        perform espalier.require_blob(blob_);
        insert into espalier.models (search, episode, blob) values (search_, episode_, blob_) on conflict do nothing;
        insert into espalier.finals (search, episode, worker, seconds, n, top1, top5, loss)
        values (search_, episode_, worker_, seconds_, n_, top1_, top5_, loss_);
    end if;
end $$;

create function espalier.record_snapshot(search_ bigint, episode_ integer, bytes_ bytea) returns void language sql as $$
    insert into espalier.snapshots as s (search, episode, bytes) values (search_, episode_, bytes_)
        on conflict (search) do update set episode = excluded.episode, bytes = excluded.bytes, made = now()
        where s.episode < excluded.episode
$$;

-- ---- blobs

create function espalier.write_piece(hash_ bytea, at bigint, total bigint, bytes_ bytea) returns void language plpgsql as $$
declare
    was espalier.blobs;
begin
    insert into espalier.blobs (hash, size) values (hash_, total) on conflict do nothing;
    select * into was from espalier.blobs where hash = hash_;
    if was.size <> total then
        raise exception using errcode = 'ES003', message = format(
            'blob %s is on record with %s bytes, not %s', encode(hash_, 'hex'), was.size, total);
    elsif was.complete then
        return;
    elsif at < 0 or at >= total or at % 1048576 <> 0 or octet_length(bytes_) <> least(1048576, total - at) then
        raise exception using errcode = 'ES003', message = format(
            'a piece of %s bytes at %s of %s isn''t a chunk', octet_length(bytes_), at, total);
    end if;
    insert into espalier.blob_chunks (hash, position, bytes) values (hash_, at / 1048576, bytes_) on conflict do nothing;
end $$;

-- Before the pieces are read back and summed: true when that was done before.
create function espalier.begin_seal(hash_ bytea, total bigint) returns boolean language plpgsql stable as $$
declare
    was espalier.blobs;
    there bigint;
begin
    select * into was from espalier.blobs where hash = hash_;
    if not found then
        raise exception using errcode = 'ES002', message = format('blob %s isn''t known', encode(hash_, 'hex'));
    elsif was.size <> total then
        raise exception using errcode = 'ES003', message = format(
            'blob %s is on record with %s bytes, not %s', encode(hash_, 'hex'), was.size, total);
    elsif was.complete then
        return true;
    end if;
    select count(*) into there from espalier.blob_chunks where hash = hash_;
    if there <> (total + 1048575) / 1048576 then
        raise exception using errcode = 'ES001', message = format(
            'blob %s has %s of %s pieces', encode(hash_, 'hex'), there, (total + 1048575) / 1048576);
    end if;
    return false;
end $$;

create function espalier.end_seal(hash_ bytea, right_ boolean) returns void language plpgsql as $$
begin
    if right_ then
        update espalier.blobs set complete = true where hash = hash_;
        perform espalier.require_blob(hash_);
    else
        delete from espalier.blobs where hash = hash_ and not complete;
    end if;
end $$;

-- The bytes from `at`, as many as `most` at best.
create function espalier.read_piece(hash_ bytea, at bigint, most integer, out bytes bytea, out total bigint)
language plpgsql stable as $$
begin
    perform espalier.require_blob(hash_);
    select b.size into total from espalier.blobs b where b.hash = hash_;
    if at < 0 or at >= total then
        raise exception using errcode = 'ES003', message = format('offset %s of a blob of %s bytes', at, total);
    end if;
    select string_agg(substring(c.bytes from greatest(at - c.position::bigint * 1048576, 0)::integer + 1
                                for (least(at + most, (c.position + 1)::bigint * 1048576)
                                     - greatest(at, c.position::bigint * 1048576))::integer),
                      ''::bytea order by c.position)
      into bytes
      from espalier.blob_chunks c
     where c.hash = hash_ and c.position between at / 1048576 and (at + most - 1) / 1048576;
end $$;
