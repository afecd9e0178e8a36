# The same spec gives the same candidates and the same numbers on 1, 2 and 3 workers, through kill -9 of the coordinator
# and of a worker, three times each on the way, and while a worker is added and others are removed.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

episodes=48
model
# Many images, so that there is time to kill in between on a fast machine.
spec 7000 2500 $episodes >"$tmp/spec.yaml"

# killed PROGRAM: kills it in the middle of the search and starts it again
killed() {
    over "$id" && fail "search $id was over before $1 could be killed"
    victim=$(pid "$1")
    kill -9 "$victim"
    await 5 gone "$victim" || fail "process $victim outlives kill -9"
    up --workers "$workers"
}

check() {
    finish "$id" 120
    equal "episodes on record" "$episodes" "$(evaluated "$id")"
    digest=$(e digest "$id")
    say "$1: $digest"
    if [ -z "${first:-}" ]; then
        first=$digest
    else
        equal "digest with $1" "$first" "$digest"
    fi
}

for workers in 1 2 3; do
    up --workers $workers
    id=$(start "$tmp/spec.yaml")
    check "$workers workers"
done

workers=2
up --workers $workers
id=$(start "$tmp/spec.yaml")
for n in 3 11 19; do
    await 60 has_evaluated "$id" $n || fail "search $id stands still at $(evaluated "$id")"
    killed espalierd
    await 60 has_evaluated "$id" $((n + 4)) || fail "search $id stands still at $(evaluated "$id") after the coordinator was killed"
    killed worker-1
done
check "the coordinator and a worker killed three times each"
[ "$(sql "select count(*) from espalier.attempts where search = $id and outcome::text <> 'done'")" -gt 0 ] ||
    fail "no attempt was lost: the kills came when nothing was under way"

id=$(start "$tmp/spec.yaml")
await 60 has_evaluated "$id" 5 || fail "search $id stands still at $(evaluated "$id")"
up --workers 3
await 60 has_evaluated "$id" 14 || fail "search $id stands still at $(evaluated "$id") with a third worker"
over "$id" && fail "search $id was over before workers could be removed"
up --workers 1
check "a worker added and two removed"
equal "workers in the end" 1 "$(e workers --format json | tr '{' '\n' | grep -c '"state":')"

# All of this says little unless the policy learns: without learning the candidates are others.
id=$(start "$tmp/spec.yaml" --set search.warmup=$episodes)
finish "$id" 120
[ "$(e digest "$id")" != "$first" ] || fail "a search that never leaves its warm-up has the same digest"
