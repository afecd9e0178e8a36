# Every ONNX file of the shared folder is run as onnxruntime runs it, and so is what we write of it; one that isn't is refused by
# an operator's name. onnxruntime-node is looked for as in runtime.sh.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

folder=${ESPALIER_SHARED:-../shared}/data
[ -d "$folder/onnx" ] || skip "there is no $folder/onnx"
command -v node >/dev/null || skip "node isn't installed"
node -e 'require(process.env.ESPALIER_ORT ? process.env.ESPALIER_ORT + "/onnxruntime-node" : "onnxruntime-node")' 2>/dev/null ||
    skip "onnxruntime-node isn't installed (npm install onnxruntime-node; ESPALIER_ORT names its node_modules)"

ran=0
for file in "$folder"/onnx/*.onnx "$folder"/models/*.onnx; do
    name=$(basename "$file")
    if ! "$ESPALIER_BIN/tests/tools/answer" "$file" "$tmp" 2>"$tmp/refused"; then
        grep -q "operator [A-Za-z]* is not supported$" "$tmp/refused" || fail "$name: $(cat "$tmp/refused")"
        say "$name: refused, $(sed 's/.*\(operator .*\)/\1/' "$tmp/refused")"
        continue
    fi
    node tests/tools/answers.js "$tmp/input" "$tmp/output" "$file" "$tmp/saved.onnx" >"$tmp/off" 2>"$tmp/node.err" ||
        fail "$name in onnxruntime: $(cat "$tmp/node.err")"
    equal "distances of $name" 2 "$(wc -l <"$tmp/off")"
    awk '!($1 <= 1e-3) { bad = 1 } END { exit bad }' "$tmp/off" || fail "$name differs from onnxruntime by $(tr '\n' ' ' <"$tmp/off")"
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || fail "no file ran"
say "$ran files, and what is written of them, run as in onnxruntime"
