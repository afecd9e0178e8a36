# Starting, stopping, pausing, cancelling, restarting; a second coordinator stands by; whatever is told to stop does so soon,
# and `down` leaves nothing behind.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

pids() { for f in "$dir"/run/*.pid; do sed -n '1s/ .*//p' "$f"; done | tr '\n' ' '; }
nobody_busy() { [ "$(e workers --format json | grep -c '"kind": *"')" = 0 ]; }
in_flight() { sql "select count(*) from espalier.attempts where search = $1 and outcome is null"; }
none_in_flight() { [ "$(in_flight "$1")" = 0 ]; }

# stops SECONDS PID NAME: SIGTERM ends our child PID in time, with status 0
stops() {
    kill -TERM "$2"
    await "$1" gone "$2" || fail "$3 is still there $1 s after SIGTERM"
    status=0
    wait "$2" || status=$?
    equal "$3's exit status after SIGTERM" 0 $status
}

model
spec 1000 300 24 >"$tmp/spec.yaml"
spec 4000 1000 2000 >"$tmp/long.yaml"

say "up, twice"
up --workers 2
before=$(pids)
up --workers 2
equal "processes after a second up" "$before" "$(pids)"
grep -q '^coordinator  was running' "$tmp/up.out" || fail "the second up says: $(cat "$tmp/up.out")"
up
equal "processes after up without --workers" "$before" "$(pids)"

say "pause, resume, cancel"
id=$(start "$tmp/long.yaml")
await 30 has_evaluated "$id" 1 || fail "search $id doesn't begin"
equal "pause" "search $id is paused" "$(e search pause "$id")"
await 10 none_in_flight "$id" || fail "$(in_flight "$id") attempts are under way 10 s after the pause"
n=$(evaluated "$id")
sleep 1
equal "evaluated while paused" "$n" "$(evaluated "$id")"
equal "resume" "search $id is running" "$(e search resume "$id")"
await 20 has_evaluated "$id" $((n + 1)) || fail "search $id doesn't go on after the pause"
equal "cancel" "search $id is cancelled" "$(e search cancel "$id")"
await 3 nobody_busy || fail "workers are busy 3 s after the cancel: $(e workers --format json)"
grep -q "cancelled search=$id" "$dir"/log/worker-*.log || fail "no worker was told to stop"
n=$(evaluated "$id")
sleep 1
equal "evaluated after the cancel" "$n" "$(evaluated "$id")"
e search resume "$id" 2>"$tmp/err" && fail "a cancelled search was resumed"
equal "resume of a cancelled search" "espalier: search $id is cancelled already" "$(cat "$tmp/err")"

say "down and up in the middle of a search"
id=$(start "$tmp/spec.yaml")
await 30 has_evaluated "$id" 3 || fail "search $id doesn't begin"
before=$(pids)
e down >"$tmp/down.out"
for p in $before; do alive "$p" && fail "process $p is there after down"; done
equal "processes with the folder in their command line, or in it" "" "$(inhabitants "$dir")"
e down >"$tmp/down.out" || fail "a second down: exit $?"
grep -q "^nothing was running" "$tmp/down.out" || fail "a second down says: $(cat "$tmp/down.out")"
up
finish "$id" 60
digest=$(e digest "$id")

say "everything killed in the middle of a search"
id=$(start "$tmp/spec.yaml")
await 30 has_evaluated "$id" 3 || fail "search $id doesn't begin"
before=$(pids)
for p in $before; do kill -9 "$p"; done
for p in $before; do await 5 gone "$p" || fail "process $p outlives kill -9"; done
up
finish "$id" 60
equal "digest" "$digest" "$(e digest "$id")"

say "a second coordinator stands by, and takes over"
id=$(start "$tmp/long.yaml")
await 30 has_evaluated "$id" 1 || fail "search $id doesn't begin"
db="host=$(cat "$dir/run/socket") port=5432 user=espalier dbname=espalier"
espalierd --db "$db" --bind tcp://127.0.0.1:0 --http 127.0.0.1:0 --state "$tmp/second.json" 2>"$tmp/second.log" &
second=$!
espalierd --db "$db" --bind tcp://127.0.0.1:0 --http 127.0.0.1:0 --state "$tmp/third.json" 2>"$tmp/third.log" &
third=$!
sleep 3
[ ! -e "$tmp/second.json" ] || fail "a second coordinator doesn't wait for the first: $(cat "$tmp/second.log")"
alive $second || fail "a second coordinator ended: $(cat "$tmp/second.log")"
stops 5 $third "a coordinator that stands by"
first=$(pid espalierd)
kill -9 "$first"
await 15 test -s "$tmp/second.json" || fail "the second coordinator doesn't take over: $(cat "$tmp/second.log")"
url=$(sed -n 's/.*"http": "\([^"]*\)".*/\1/p' "$tmp/second.json")
bind=$(sed -n 's/.*"bind": "\([^"]*\)".*/\1/p' "$tmp/second.json")
espalier --url "$url" search status "$id" --format json | grep -q '"state": "running"' ||
    fail "the search at the second coordinator: $(espalier --url "$url" search status "$id" | head -n 1)"

say "SIGTERM to a worker at work, to a coordinator at work"
espalier-worker --connect "$bind" --threads 1 --cache "$tmp/cache" --name late 2>"$tmp/late.log" &
worker=$!
n=$(evaluated "$id")
await 30 has_evaluated "$id" $((n + 1)) || fail "the second coordinator doesn't go on with search $id: $(tail -n 5 "$tmp/second.log")"
stops 5 $worker "a worker"
stops 5 $second "a coordinator"
equal "attempts of the worker under way after it stopped" 0 \
    "$(sql "select count(*) from espalier.attempts where worker = 'late' and outcome is null")"

up
equal "cancel" "search $id is cancelled" "$(e search cancel "$id")"
