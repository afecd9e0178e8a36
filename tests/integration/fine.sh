# Single weights: a short search; what is recorded is what an independent reader counts in the exported files, finalists keep their zeros
# through their training, and a worker that is killed in its middle changes nothing.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import numpy, onnx' 2>/dev/null || skip "python3-onnx isn't installed"

model
cat >"$tmp/fine.yaml" <<EOS
spec_version: 1
name: fine
model: demo.onnx
data: {kind: synthetic}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
split: {reward: 200, calibrate: 200}
budgets: {flops: [0.4], params: [0.2], bytes: [0.3]}
search: {policy: ddpg, episodes: 8, warmup: 3, lookahead: 4}
cut: {kind: fine}
finetune: {steps: 6, batch: 32, lr: 0.01, augment: {pad: 0, flip: false}}
finish: {top: 1, steps: 60, batch: 64, lr: 0.01, augment: {pad: 0, flip: false}, distill: {kind: kl}}
EOS
up --workers 2
id=$(start "$tmp/fine.yaml")
other=$(start "$tmp/fine.yaml")
await 120 has_evaluated "$id" 4 || fail "nothing is evaluated"
kill -9 "$(pid worker-1)"
finish "$id" 200
finish "$other" 200

number() { sed -n "s/.*\"$1\": *\\([0-9]*\\).*/\\1/p"; }
finals=$(sql "select string_agg(episode::text, ' ' order by episode) from espalier.finals where search = $id")
[ "$(echo "$finals" | wc -w)" -ge 2 ] || fail "finalists: $finals"
for episode in 0 1 2 7 $finals; do
    e export "$id" "$episode" -o "$tmp/$episode.onnx" 2>/dev/null
    e export "$id" "$episode" --format json -o "$tmp/$episode.json"
    "$python" tests/tools/exported.py sparse "$tmp/$episode.onnx" "$tmp/$episode.json" "$tmp/demo.onnx" >"$tmp/counted" ||
        { cat "$tmp/counted"; fail "episode $episode"; }
    recorded=$(sql "select macs || ' ' || params || ' ' || bytes from espalier.candidates where search = $id and episode = $episode")
    equal "MACs, parameters and bytes of episode $episode" "$recorded" "$(cat "$tmp/counted")"
done
equal "candidates above their budgets" 0 "$(sql "select count(*) from espalier.candidates c where search = $id and
    case kind when 'flops' then macs when 'params' then params else bytes end > most")"
say "zeros of candidates and of finalists $finals are as recorded"
equal "digest of the same search" "$(e digest "$id" | cut -d' ' -f1)" "$(e digest "$other" | cut -d' ' -f1)"
for episode in $finals; do
    e export "$other" "$episode" -o "$tmp/again.onnx" 2>/dev/null
    "$python" tests/tools/exported.py same "$tmp/$episode.onnx" "$tmp/again.onnx" || fail "finalist $episode isn't the same in both searches"
done
e show "$id" 0 >"$tmp/show"
grep -q '^density  *[0-9.]*% ' "$tmp/show" || { cat "$tmp/show"; fail "show has no densities"; }
e export "$id" 0 --format json --masks 2>"$tmp/err" && fail "masks of single weights"
grep -q 'masks' "$tmp/err" || fail "$(cat "$tmp/err")"
