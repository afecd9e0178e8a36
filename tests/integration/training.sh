# Trainings that take long: finalists and training jobs go on after the last epoch on record when a worker or the coordinator
# is killed, and end with the same bits as if nothing had been; what diverges is tried once more at a lower rate, then failed.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

epochs=8
model
# One budget, one finalist.
spec 500 200 4 | sed 's/^budgets:.*/budgets: {flops: [0.5]}/; /^finish:/d' >"$tmp/spec.yaml"
cat >>"$tmp/spec.yaml" <<END
finish: {top: 1, epochs: $epochs, lr: 0.02, distill: {temperature: 4, weight: 0.5}}
END

# epoch ID: of the latest checkpoint of any of its tasks
epoch() { sql "select coalesce(max(epoch), 0) from espalier.checkpoints where search = $1"; }
at_epoch() { over "$1" || [ "$(epoch "$1")" -ge "$2" ]; }
task_at() { sql "select kind || ' ' || episode || ' ' || epoch from espalier.checkpoints where search = $1 order by epoch desc limit 1"; }

# kill_at ID EPOCH PROGRAM...: kills them in the epoch after that one, and sets $kind, $episode and $at to where that was
kill_at() {
    await 120 at_epoch "$1" "$2" || fail "search $1 stands still in epoch $(epoch "$1")"
    over "$1" && fail "search $1 was over before $3 could be killed in epoch $(($2 + 1))"
    id_=$1
    shift 2
    for p in "$@"; do
        victim=$(pid "$p")
        kill -9 "$victim"
        await 5 gone "$victim" || fail "process $victim outlives kill -9"
    done
    set -- $(task_at "$id_")
    kind=$1 episode=$2 at=$3
}

# All that a search's finalists are, but for their search's number in the files.
finals() {
    sql "select episode, n, top1, top5, loss from espalier.finals where search = $1 order by 1"
    for episode_ in $(sql "select episode from espalier.finals where search = $1 order by 1"); do
        e export "$1" "$episode_" -o "$tmp/file.onnx" 2>/dev/null
        LC_ALL=C sed "s/\(espalier\.search..\)$1/\1N/" "$tmp/file.onnx" | sha256sum
    done
}
# A curve, but for who did it and how long it took.
curve() { sql "select episode, epoch, lr, loss, top1 from espalier.curves where search = $1 order by 1, 2"; }
attempts() { # ID KIND EPISODE
    sql "select string_agg(outcome::text, ', ' order by attempt) from espalier.attempts
          where search = $1 and kind::text = '$2' and episode = $3"
}
# job [OPTION]...: begins a training job in the background, $job, with the number $id
job() {
    rm -f "$tmp/job.out"
    e train "$tmp/train.yaml" --job -o "$tmp/job.onnx" "$@" >"$tmp/job.out" 2>"$tmp/job.err" &
    job=$!
    await 20 test -s "$tmp/job.out" || fail "train --job prints no id: $(cat "$tmp/job.err")"
    id=$(head -n 1 "$tmp/job.out")
}

up --workers 1
id=$(start "$tmp/spec.yaml")
finish "$id" 300
whole=$(finals "$id")
points=$(curve "$id")
equal "finalists" 1 "$(echo "$whole" | grep -c '|')"
equal "points of the curve" $epochs "$(echo "$points" | grep -c .)"
equal "checkpoints that are left" 0 "$(sql "select count(*) from espalier.checkpoints")"
equal "finalists that are done" 1 "$(e search status "$id" --format json | tr '{' '\n' | grep -c "\"epoch\": $epochs, \"epochs\": $epochs, \"state\": \"done\"")"
say "uninterrupted:" $whole
mv "$tmp/file.onnx" "$tmp/cut.onnx"
cat >"$tmp/train.yaml" <<END
spec_version: 1
name: little
model: cut.onnx
data: {kind: synthetic}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
train: {epochs: $((epochs - 2)), lr: 0.05}
END

say "a worker killed in a finalist's epoch"
id=$(start "$tmp/spec.yaml")
kill_at "$id" 3 worker-1
up --workers 1
finish "$id" 300
grep -q "leased search=$id episode=$episode kind=final attempt=2 from_epoch=$at " "$dir"/log/espalierd.log ||
    fail "no worker went on with episode $episode after epoch $at"
equal "attempts at episode $episode" "lost, done" "$(attempts "$id" final "$episode")"
equal "epochs of the first attempt" "$at" \
    "$(sql "select count(*) from espalier.curves where search = $id and episode = $episode and attempt = 1")"
equal "epochs of both" $epochs "$(sql "select count(*) from espalier.curves where search = $id and episode = $episode")"
equal "the finalist after a worker was killed" "$whole" "$(finals "$id")"
equal "its curve" "$points" "$(curve "$id")"

say "the coordinator killed meanwhile, then both"
id=$(start "$tmp/spec.yaml")
kill_at "$id" 2 espalierd
up --workers 1
kill_at "$id" 5 espalierd worker-1
up --workers 1
finish "$id" 300
equal "the finalist after all were killed" "$whole" "$(finals "$id")"
equal "its curve" "$points" "$(curve "$id")"

say "a training job"
job
kill_at "$id" 3 worker-1
url=$(cat "$dir/run/http")
equal "its model meanwhile" 409 "$(curl -sS -m 5 -o "$tmp/answer" -w '%{http_code}' "$url/v1/searches/$id/model")"
equal "the line" "{\"error\": \"training $id has no model: it is running\"}" "$(cat "$tmp/answer")"
equal "curves of episodes" "404 400" "$(curl -sS -m 5 -o "$tmp/answer" -w '%{http_code}' "$url/v1/searches/$id/curve?episode=7"
    curl -sS -m 5 -o "$tmp/answer" -w ' %{http_code}' "$url/v1/searches/$id/curve?episode=x")"
equal "the job in the list" "$id little" "$(e search list | awk -v id="$id" '$1 == id { print $1, $2 }')"
up --workers 1
wait $job || fail "train --job: $(cat "$tmp/job.err")"
equal "attempts" "lost, done" "$(attempts "$id" train -1)"
equal "state" done "$(state_of "$id")"
e curve "$id" --format csv >"$tmp/curve.csv"
equal "its curve" $((epochs - 1)) "$(wc -l <"$tmp/curve.csv")"
espalier train "$tmp/train.yaml" --threads "$THREADS" -o "$tmp/local.onnx" >"$tmp/local.out" 2>&1 ||
    fail "train on this machine: $(cat "$tmp/local.out")"
equal "the job's file and one that was trained here" "$(sha256sum <"$tmp/local.onnx")" "$(sha256sum <"$tmp/job.onnx")"
score=$(espalier score "$tmp/job.onnx" --data synthetic --mean 127.5 --std 54 --format json)
equal "score of its file" "$(sql "select format('{\"n\": %s, \"top1\": %s, \"top5\": %s', n, top1, top5) from espalier.trainings where search = $id")" \
    "${score%%, \"loss\"*}"

say "a pause in the last epoch, and a cancel"
job --set train.epochs=2
await 60 at_epoch "$id" 1 || fail "training $id doesn't begin"
equal "pause" "search $id is paused" "$(e search pause "$id")"
handed_back() { [ "$(attempts "$id" train -1)" = "handed back" ]; }
await 60 handed_back || fail "the pause doesn't stop the training: $(attempts "$id" train -1)"
equal "epoch in which it stopped" 2 "$(epoch "$id")"
e search resume "$id" >/dev/null
wait $job || fail "train --job after a pause: $(cat "$tmp/job.err")"
equal "attempts" "handed back, done" "$(attempts "$id" train -1)"
equal "points of the curve" 2 "$(sql "select count(*) from espalier.curves where search = $id")"
job --set train.epochs=500
await 60 at_epoch "$id" 1 || fail "training $id doesn't begin"
e search cancel "$id" >/dev/null
wait $job && fail "train --job of a cancelled training succeeded"
equal "checkpoints that are left" 0 "$(sql "select count(*) from espalier.checkpoints")"

say "divergence"
id=$(start "$tmp/spec.yaml" --set finish.lr=1000)
finish "$id" 200
equal "finalists that failed" 1 "$(sql "select count(failed) from espalier.finals where search = $id")"
episode=$(sql "select episode from espalier.finals where search = $id")
equal "attempts at episode $episode" "diverged, diverged" "$(attempts "$id" final "$episode")"
e show "$id" "$episode" --format json | grep -q '"final_failed": "[^"]' || fail "show says nothing of why episode $episode failed"
e curve "$id" "$episode" --format json >"$tmp/curve.json" || fail "no curve of episode $episode"
equal "in the status" 1 "$(e search status "$id" --format json | tr '{' '\n' | grep -c '"state": "failed", "reason": "')"
e train "$tmp/train.yaml" --job -o "$tmp/job.onnx" --set train.lr=1000 >"$tmp/job.out" 2>"$tmp/job.err" &&
    fail "a training that diverges succeeded"
id=$(head -n 1 "$tmp/job.out")
equal "attempts" "diverged, diverged" "$(attempts "$id" train -1)"
equal "state" failed "$(state_of "$id")"
sql "select reason from espalier.searches where id = $id" | grep -q '^training failed: ' || fail "no reason why training $id failed"
