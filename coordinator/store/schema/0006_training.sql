-- Training: jobs that train a model, checkpoints and curves of long trainings, finalists that could not be finished.

alter table espalier.searches
    add job text not null default 'search' check (job in ('search', 'training')),
    add precision text not null default 'fp32' check (precision in ('fp32', 'bf16')),
    add finetune_teacher bytea references espalier.blobs, -- what distils from another file than the dense network
    add finish_teacher bytea references espalier.blobs,
    add epochs integer default 0 check (epochs >= 0), -- of a finalist or the training; null: it is told in steps
    add constraint training_has_no_profile check (job = 'search' or state not in ('profiling', 'finishing'));

alter table espalier.attempts
    drop constraint profile_has_no_episode,
    add constraint only_candidates_have_episodes check ((kind in ('profile', 'train')) = (episode = -1));

-- The candidates that were chosen to be finished.
create table espalier.finalists (
    search bigint not null,
    episode integer not null,
    primary key (search, episode),
    foreign key (search, episode) references espalier.results on delete cascade
);
insert into espalier.finalists select search, episode from espalier.finals;

-- What came of a finalist, once: its score on the test set and its model, or the reason why it was given up.
alter table espalier.finals
    alter worker drop not null,
    alter seconds drop not null,
    alter n drop not null,
    alter top1 drop not null,
    alter top5 drop not null,
    alter loss drop not null,
    add failed text,
    add exported integer generated always as (case when failed is null then episode end) stored,
    drop constraint finals_search_episode_fkey1,
    add foreign key (search, exported) references espalier.models (search, episode) on delete cascade,
    add foreign key (search, episode) references espalier.finalists on delete cascade,
    add constraint final_or_failure check (
        num_nulls(worker, seconds, n, top1, top5, loss) = case when failed is null then 0 else 6 end);

-- What came of a training job, once: its model and the score on the test set. One that fails is in its search's reason.
create table espalier.trainings (
    search bigint primary key references espalier.searches on delete cascade,
    kind espalier.task_kind not null default 'train' check (kind = 'train'),
    episode integer not null default -1 check (episode = -1),
    attempt integer not null,
    worker text not null,
    seconds espalier.seconds not null,
    n integer not null check (n > 0),
    top1 integer not null,
    top5 integer not null,
    loss espalier.finite not null,
    blob bytea not null references espalier.blobs,
    recorded timestamptz not null default now(),
    foreign key (search, kind, episode, attempt) references espalier.attempts (search, kind, episode, attempt),
    constraint training_counts check (0 <= top1 and top1 <= top5 and top5 <= n)
);

-- Where another worker would go on with a task that is neither done nor given up: the latest, and no other.
create table espalier.checkpoints (
    search bigint not null,
    kind espalier.task_kind not null check (kind in ('final', 'train')),
    episode integer not null,
    attempt integer not null,
    epoch integer not null check (epoch >= 1), -- so many are done
    blob bytea not null references espalier.blobs,
    primary key (search, kind, episode),
    foreign key (search, kind, episode, attempt) references espalier.attempts on delete cascade
);

-- One point an epoch, of the latest training of each task.
create table espalier.curves (
    search bigint not null,
    kind espalier.task_kind not null check (kind in ('final', 'train')),
    episode integer not null,
    epoch integer not null check (epoch >= 1),
    attempt integer not null,
    worker text not null,
    lr espalier.finite not null,
    loss espalier.finite not null, -- mean over the epoch
    top1 double precision not null check (top1 between 0 and 1), -- of the augmented images, while they were trained on
    seconds espalier.seconds not null,
    recorded timestamptz not null default now(),
    primary key (search, kind, episode, epoch),
    foreign key (search, kind, episode, attempt) references espalier.attempts on delete cascade
);

comment on table espalier.finalists is 'Candidates chosen to be finished: fine-tuned, scored on the test set, exported';
comment on table espalier.finals is 'What came of finalists: scores on the test set, or why they failed';
comment on table espalier.trainings is 'Models of training jobs and their scores on the test set';
comment on table espalier.checkpoints is 'Where an unfinished training would go on: its state after so many epochs';
comment on table espalier.curves is 'Training curves of finalists and training jobs, a row an epoch';
