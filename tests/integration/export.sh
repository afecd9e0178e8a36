# Twenty exported candidates: the ONNX checker accepts them, two other runtimes load and run them, and the kept channels as JSON are those of
# the file (PYTHON: /usr/bin/python3). What isn't installed is skipped by its name; without python3-onnx the whole test is.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import numpy, onnx' 2>/dev/null || skip "python3-onnx isn't installed"
cv= ort=
if "$python" -c 'import cv2; cv2.dnn' 2>/dev/null; then cv=1; else say "skipped: OpenCV isn't installed for Python"; fi
if node -e 'require(process.env.ESPALIER_ORT ? process.env.ESPALIER_ORT + "/onnxruntime-node" : "onnxruntime-node")' 2>/dev/null; then
    ort=1
else
    say "skipped: onnxruntime-node isn't installed"
fi
tool() { "$python" tests/tools/exported.py "$@" >"$tmp/tool.out" 2>&1 || { cat "$tmp/tool.out"; fail "exported.py $*"; }; }

model
tool rename "$tmp/demo.onnx"
spec 200 200 20 >"$tmp/spec.yaml"
up --workers 2
id=$(start "$tmp/spec.yaml")
finish "$id" 120

episode=0
while [ $episode -lt 20 ]; do
    masks=
    [ $((episode % 2)) = 0 ] || masks=--masks
    e export "$id" $episode -o "$tmp/$episode.onnx" 2>/dev/null
    # shellcheck disable=SC2086 # it may be nothing
    e export "$id" $episode --format json $masks -o "$tmp/$episode.json"
    episode=$((episode + 1))
done
tool check "$tmp/demo.onnx" "$tmp" 20
say "20 files pass the checker${cv:+ and run in OpenCV}"
finals=$(sql "select count(*) from espalier.finals where search = $id")
equal "files that say that they are finals" "$finals" "$(cat "$tmp"/*.json | grep -c '"stage":"final"')"
equal "a list on standard output" "$(cat "$tmp/3.json")" "$(e export "$id" 3 --format json --masks)"

if [ -n "$ort" ]; then
    shape=$("$ESPALIER_BIN/tests/tools/images" --mean 127.5 --std 54 -o "$tmp/images")
    # shellcheck disable=SC2086 # numbers and files
    node tests/tools/loads.js "$tmp/images" $shape $(seq -f "$tmp/%g.onnx" 0 19) >"$tmp/loads.out" || { cat "$tmp/loads.out"; fail "onnxruntime"; }
    equal "files that onnxruntime runs" 20 "$(grep -c right "$tmp/loads.out")"
    say "20 files run in onnxruntime"
fi

# Sliced, and nothing else: the same cut, made in Python from the lists, gives the same outputs.
{ spec 200 200 2; echo "cut: {reconstruct: false, recalibrate: false}"; } >"$tmp/plain.yaml"
id=$(start "$tmp/plain.yaml")
finish "$id" 60
for episode in 0 1; do
    e export "$id" $episode -o "$tmp/ours.onnx" 2>/dev/null
    e export "$id" $episode --format json -o "$tmp/ours.json"
    tool slice "$tmp/demo.onnx" "$tmp/ours.json" "$tmp/theirs.onnx"
    [ -n "$cv" ] || continue
    tool run "$tmp/ours.onnx" "$tmp/theirs.onnx"
    awk '{ exit !($1 <= 1e-4) }' "$tmp/tool.out" || fail "episode $episode differs from its slice by $(cat "$tmp/tool.out")"
    tool run "$tmp/ours.onnx" "$tmp/demo.onnx"
    awk '{ exit !($1 > 1e-2) }' "$tmp/tool.out" || fail "episode $episode is as the dense network: $(cat "$tmp/tool.out")"
    say "episode $episode is its slice"
done

e export "$id" 0 --format png -o "$tmp/x" 2>"$tmp/err" && fail "format png"
grep -q '"png"' "$tmp/err" || fail "format png: $(cat "$tmp/err")"
