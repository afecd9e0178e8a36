# An exported candidate gets as many test images right in onnxruntime as in espalier. onnxruntime-node is looked for where node
# looks, and in ESPALIER_ORT, a node_modules folder.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

command -v node >/dev/null || skip "node isn't installed"
node -e 'require(process.env.ESPALIER_ORT ? process.env.ESPALIER_ORT + "/onnxruntime-node" : "onnxruntime-node")' 2>/dev/null ||
    skip "onnxruntime-node isn't installed (npm install onnxruntime-node; ESPALIER_ORT names its node_modules)"

model
spec 500 200 6 >"$tmp/spec.yaml"
up --workers 2
id=$(start "$tmp/spec.yaml")
finish "$id" 60

shape=$("$ESPALIER_BIN/tests/tools/images" --mean 127.5 --std 54 -o "$tmp/images")
compare() {
    ours=$(espalier score "$1" --data synthetic --mean 127.5 --std 54 --format json | sed -n 's/.*"top1": \([0-9]*\).*/\1/p')
    # shellcheck disable=SC2086 # four numbers
    theirs=$(node tests/tools/runtime.js "$1" "$tmp/images" $shape)
    equal "correct images of $2 in espalier and in onnxruntime" "$ours" "$theirs"
    say "$2: $ours right of ${shape%% *} in both"
}
compare "$tmp/demo.onnx" "the dense network"
for episode in 0 3 5; do
    e export "$id" $episode -o "$tmp/$episode.onnx" 2>/dev/null
    compare "$tmp/$episode.onnx" "episode $episode"
done
