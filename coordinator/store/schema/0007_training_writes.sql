-- How rows of training get in (0002_writes.sql has the rules).

-- Bytes that nothing refers to any more. What does is known to the constraints alone.
create function espalier.drop_blob(hash_ bytea) returns void language plpgsql as $$
begin
    delete from espalier.blobs where hash = hash_;
exception when foreign_key_violation then
    null;
end $$;

-- Pieces of uploads that nobody ended, and what was uploaded and then not used, such as a checkpoint whose worker was killed
-- before it could say so.
create function espalier.drop_leftovers() returns void language plpgsql as $$
begin
    delete from espalier.blobs where not complete and created < now() - interval '1 day';
    perform espalier.drop_blob(hash) from (
        select hash from espalier.blobs where created < now() - interval '1 day'
        except select model from espalier.searches
        except select finetune_teacher from espalier.searches
        except select finish_teacher from espalier.searches
        except select hash from espalier.search_files
        except select blob from espalier.profiles
        except select blob from espalier.models
        except select blob from espalier.trainings
        except select blob from espalier.checkpoints) unused;
end $$;

create function espalier.drop_checkpoint(search_ bigint, kind_ espalier.task_kind, episode_ integer)
returns void language plpgsql as $$
declare
    was bytea;
begin
    delete from espalier.checkpoints where (search, kind, episode) = (search_, kind_, episode_) returning blob into was;
    if found then
        perform espalier.drop_blob(was);
    end if;
end $$;

-- ---- searches

drop function espalier.create_search(uuid, text, text, numeric, bytea, text, double precision[], double precision[],
                                     integer, integer, text, boolean, boolean, text[], text[], bigint[]);
create function espalier.create_search(
    request_ uuid, name_ text, spec_ text, seed_ numeric, model_ bytea, data_ text, mean_ double precision[],
    std_ double precision[], reward_ integer, calibrate_ integer, selection_ text, reconstruct_ boolean,
    recalibrate_ boolean, names text[], hashes text[], sizes bigint[], job_ text, precision_ text,
    finetune_teacher_ bytea, finish_teacher_ bytea, epochs_ integer
) returns bigint language plpgsql as $$
declare
    made bigint;
begin
    select id into made from espalier.searches where request = request_;
    if found then
        return made;
    end if;
    perform espalier.require_blob(h) from unnest(array[model_, finetune_teacher_, finish_teacher_]) h where h is not null;
    perform espalier.require_blob(decode(h, 'hex')) from unnest(hashes) h;
    insert into espalier.searches (request, name, spec, seed, model, data, mean, std, reward, calibrate, selection,
                                   reconstruct, recalibrate, job, precision, finetune_teacher, finish_teacher, epochs,
                                   state, started)
    values (request_, name_, spec_, seed_, model_, data_, mean_, std_, reward_, calibrate_, selection_,
            reconstruct_, recalibrate_, job_, precision_, finetune_teacher_, finish_teacher_, epochs_,
            case job_ when 'training' then 'running' else 'profiling' end::espalier.search_state,
            case job_ when 'training' then now() end)
    returning id into made;
    insert into espalier.search_files (search, position, name, hash, size)
    select made, f.nr - 1, f.name, decode(f.hash, 'hex'), f.size
      from unnest(names, hashes, sizes) with ordinality f (name, hash, size, nr);
    return made;
end $$;

create or replace function espalier.move_search(
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
    if to_ in ('done', 'failed', 'cancelled') then
        perform espalier.drop_checkpoint(search, kind, episode) from espalier.checkpoints where search = search_;
    end if;
end $$;

-- ---- attempts

-- What came of the task is on record.
create function espalier.is_over(search_ bigint, kind_ espalier.task_kind, episode_ integer) returns boolean
language sql stable as $$
    select case kind_
           when 'evaluate' then exists (select from espalier.results where (search, episode) = (search_, episode_))
           when 'final' then exists (select from espalier.finals where (search, episode) = (search_, episode_))
           when 'train' then exists (select from espalier.trainings where search = search_)
           else false end
$$;

-- An attempt after one that diverged begins anew, and so does its curve.
create or replace function espalier.begin_attempt(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer, worker_ text
) returns void language plpgsql as $$
begin
    insert into espalier.attempts (search, kind, episode, attempt, worker)
    select search_, kind_, episode_, attempt_, worker_
     where not espalier.is_over(search_, kind_, episode_)
        on conflict do nothing;
    if not found and not exists (
        select from espalier.attempts
         where (search, kind, episode, attempt, worker) = (search_, kind_, episode_, attempt_, worker_)) then
        raise exception using errcode = 'ES001', message = format(
            '%s of search %s, episode %s: attempt %s is taken, or not wanted any more', kind_, search_, episode_, attempt_);
    end if;
    delete from espalier.curves c using espalier.attempts a
     where (c.search, c.kind, c.episode) = (search_, kind_, episode_) and c.attempt < attempt_
       and (a.search, a.kind, a.episode, a.attempt, a.outcome) = (search_, kind_, episode_, attempt_ - 1, 'diverged');
end $$;

create or replace function espalier.end_attempt(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer, outcome_ espalier.outcome, reason_ text
) returns void language plpgsql as $$
declare
    was espalier.attempts;
begin
    update espalier.attempts set ended = now(), outcome = outcome_, reason = reason_
     where (search, kind, episode, attempt) = (search_, kind_, episode_, attempt_) and outcome is null;
    if found then
        if outcome_ = 'diverged' then
            perform espalier.drop_checkpoint(search_, kind_, episode_);
        end if;
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

-- The attempt may still leave something on record: none has replaced it, and it hasn't ended, but for being thought lost.
create function espalier.require_current(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer
) returns void language plpgsql stable as $$
declare
    was espalier.attempts;
    highest integer;
begin
    select max(attempt) into highest from espalier.attempts where (search, kind, episode) = (search_, kind_, episode_);
    select * into was from espalier.attempts
     where (search, kind, episode, attempt) = (search_, kind_, episode_, attempt_);
    if not found then
        raise exception using errcode = 'ES002', message = format(
            '%s of search %s, episode %s has no attempt %s', kind_, search_, episode_, attempt_);
    elsif highest > attempt_ then
        raise exception using errcode = 'ES001', message = format('attempt %s was replaced by %s', attempt_, highest);
    elsif was.outcome <> 'lost' then
        raise exception using errcode = 'ES001', message = format(
            '%s of search %s, episode %s: attempt %s has ended: %s', kind_, search_, episode_, attempt_, was.outcome);
    end if;
end $$;

-- ---- checkpoints

-- An epoch is done: a point of the curve, and the state that replaces the one before it.
create function espalier.record_checkpoint(
    search_ bigint, kind_ espalier.task_kind, episode_ integer, attempt_ integer, worker_ text, epoch_ integer, blob_ bytea,
    lr_ double precision, loss_ double precision, top1_ double precision, seconds_ double precision
) returns void language plpgsql as $$
declare
    was espalier.checkpoints;
begin
    if exists (select from espalier.curves
                where (search, kind, episode, epoch, attempt) = (search_, kind_, episode_, epoch_, attempt_)) then
        return;
    end if;
    perform espalier.require_current(search_, kind_, episode_, attempt_);
    select * into was from espalier.checkpoints where (search, kind, episode) = (search_, kind_, episode_);
    if was.epoch >= epoch_ then
        return; -- trained again, with the same numbers
    end if;
    perform espalier.require_blob(blob_);
    insert into espalier.checkpoints as c (search, kind, episode, attempt, epoch, blob)
    values (search_, kind_, episode_, attempt_, epoch_, blob_)
        on conflict (search, kind, episode)
        do update set attempt = excluded.attempt, epoch = excluded.epoch, blob = excluded.blob;
    insert into espalier.curves (search, kind, episode, epoch, attempt, worker, lr, loss, top1, seconds)
    values (search_, kind_, episode_, epoch_, attempt_, worker_, lr_, loss_, top1_, seconds_);
    if was.blob <> blob_ then
        perform espalier.drop_blob(was.blob);
    end if;
end $$;

-- ---- finalists and training jobs

create function espalier.choose_finalists(search_ bigint, episodes integer[]) returns void language sql as $$
    insert into espalier.finalists (search, episode) select search_, e from unnest(episodes) e on conflict do nothing
$$;

create or replace function espalier.record_final(
    search_ bigint, episode_ integer, attempt_ integer, worker_ text, seconds_ double precision, n_ integer,
    top1_ integer, top5_ integer, loss_ double precision, blob_ bytea
) returns void language plpgsql as $$
begin
    if not espalier.deliver(search_, 'final', episode_, attempt_) then
        return;
    end if;
    perform espalier.require_blob(blob_);
    insert into espalier.models as m (search, episode, blob) values (search_, episode_, blob_)
        on conflict (search, episode) do update set blob = excluded.blob, made = now() where m.blob <> excluded.blob;
    insert into espalier.finals (search, episode, worker, seconds, n, top1, top5, loss)
    values (search_, episode_, worker_, seconds_, n_, top1_, top5_, loss_)
        on conflict do nothing;
    if not found then
        raise exception using errcode = 'ES001', message = format('search %s, finalist %s was given up', search_, episode_);
    end if;
    perform espalier.drop_checkpoint(search_, 'final', episode_);
end $$;

create function espalier.give_up_final(search_ bigint, episode_ integer, reason_ text) returns void language plpgsql as $$
begin
    perform espalier.require_candidate(search_, episode_);
    insert into espalier.finals (search, episode, failed) values (search_, episode_, reason_) on conflict do nothing;
    if not found and exists (
        select from espalier.finals where (search, episode) = (search_, episode_) and failed is null) then
        raise exception using errcode = 'ES001', message = format('search %s, finalist %s has its score', search_, episode_);
    end if;
    perform espalier.drop_checkpoint(search_, 'final', episode_);
end $$;

create function espalier.record_training(
    search_ bigint, attempt_ integer, worker_ text, seconds_ double precision, n_ integer, top1_ integer, top5_ integer,
    loss_ double precision, blob_ bytea
) returns void language plpgsql as $$
begin
    if espalier.deliver(search_, 'train', -1, attempt_) then
        perform espalier.require_blob(blob_);
        insert into espalier.trainings (search, attempt, worker, seconds, n, top1, top5, loss, blob)
        values (search_, attempt_, worker_, seconds_, n_, top1_, top5_, loss_, blob_);
        perform espalier.drop_checkpoint(search_, 'train', -1);
    end if;
end $$;
