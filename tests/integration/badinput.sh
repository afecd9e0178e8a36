# What is wrong with a file, a spec, a command, a request or a message is said in one exact line, and nothing falls over it.
# tests/integration/badinput.txt has a row for each: exit code, command, line on stderr. For frames, what the coordinator's
# log says of each is compared.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

table=$PWD/tests/integration/badinput.txt
frames=$PWD/tests/integration/badframes.txt
LC_ALL=C
export LC_ALL

model
spec 500 200 24 >"$tmp/good.yaml"
cat >"$tmp/train.yaml" <<EOF
spec_version: 1
name: small
model: resnet-20
data: {kind: synthetic}
train: {epochs: 1}
EOF
up --workers 0
url=$(cat "$dir/run/http")
bind=$(cat "$dir/run/bind")
cd "$tmp"

# --- words of the table ---

# onnx OLD NEW [OLD NEW]...: the demo's file with bytes exchanged, all of the same length
onnx() {
    cp demo.onnx bad.onnx
    while [ $# -gt 0 ]; do
        sed "s/$1/$2/g" bad.onnx >next.onnx
        mv next.onnx bad.onnx
        shift 2
    done
    espalier model bad.onnx
}
onnx_bytes() { printf "$1" >bad.onnx && espalier model bad.onnx; }
# spec_with SED-SCRIPT: a search from the good spec, changed
spec_with() { sed "$1" good.yaml >bad.yaml && e search start bad.yaml; }
# train_with SED-SCRIPT: a training on this machine from the good one's spec, changed
train_with() { sed "$1" train.yaml >bad.yaml && e train bad.yaml -o out.onnx; }
spec_text() { printf "$1" >bad.yaml && e search start bad.yaml; }
# cifar BYTES [FIRST]: a test set of so many bytes, the first of them FIRST
cifar() {
    rm -rf data && mkdir data
    printf "${2:-}" >data/test_batch.bin
    truncate -s "$1" data/test_batch.bin
    score cifar10:data
}
# idx IMAGES LABELS: a test set in MNIST's format; each a header for printf and the bytes behind it
idx() {
    rm -rf data && mkdir data
    printf "$1" >data/t10k-images-idx3-ubyte
    printf "$2" >data/t10k-labels-idx1-ubyte
    score idx:data
}
score() { espalier score demo.onnx --data "$1"; }
# http METHOD PATH [OPTION OF curl]...: status and answer on stderr
http() {
    method=$1 path=$2
    shift 2
    curl -sS -m 20 -X "$method" -w '%{http_code}\n' -o answer "$@" "$url$path" >status || return
    printf '%s %s\n' "$(cat status)" "$(cat answer)" >&2
}
post() { http POST /v1/searches -H 'Content-Type: application/json' -d "$1"; }

hash=$(printf '%064d' 0)
mnist_images='\0\0\010\003\0\0\0\001\0\0\0\034\0\0\0\034' # one of 28 x 28, to which the pixels are missing
tab=$(printf '\t')
rows=0 wrong=0
while IFS=$tab read -r want command line; do
    case $want in '' | '#'*) continue ;; esac
    rows=$((rows + 1))
    got=0
    eval "$command" >out 2>err </dev/null || got=$?
    if [ "$got $line" != "$want $(cat err)" ]; then
        wrong=$((wrong + 1))
        printf '%s\n  expected %s: %s\n  got      %s: %s\n' "$command" "$want" "$line" "$got" "$(cat err)"
    fi
done <"$table"
say "$rows bad inputs"
[ $rows -ge 40 ] || fail "only $rows rows were read"
[ $wrong = 0 ] || fail "$wrong of $rows rows"
equal "searches that came of it" "[]" "$(e search list --format json)"

# --- frames: each row is what a worker sends, in hexadecimal, frames parted by spaces, and the reason in the log ---

said() { sed -n "s/.*bad message worker=$1 count=[0-9]* reason=\"\(.*\)\"$/\1/p" "$dir/log/espalierd.log"; }
grep -v '^#' "$frames" | grep . >rows
n=$(wc -l <rows)
# Ten bad messages and the coordinator listens no more, so every nine have a worker of their own.
split -l 9 -a 2 rows part-
for part in part-*; do
    cut -f 1 "$part" | "$ESPALIER_BIN/tests/tools/frames" --connect "$bind" --name "$part" || fail "the coordinator doesn't answer after $part"
    said "$part" >got
    cut -f 2 "$part" >want
    diff want got || fail "what the log says about $part"
done
say "$n bad messages"

# Ten bad messages end it for one worker, and for no other.
for i in 1 2 3 4 5 6 7 8 9 10; do echo c1; done >ten
if "$ESPALIER_BIN/tests/tools/frames" --connect "$bind" --name stubborn <ten 2>err; then fail "a worker isn't shut out after ten bad messages"; fi
grep -q 'worker shut out worker=stubborn' "$dir/log/espalierd.log" || fail "the log doesn't say who was shut out"
# A stranger is named by its connection.
echo c1 | "$ESPALIER_BIN/tests/tools/frames" --connect "$bind" || fail "the coordinator doesn't answer after a stranger's message"
grep -Eq 'stranger refused peer=[0-9a-f]{10} reason="' "$dir/log/espalierd.log" || fail "the log doesn't name a stranger"

say "and all works as before"
equal "health" '{"status": "ok", "database": true, "queued": 0}' "$(curl -sS -m 5 "$url/v1/health")"
up --workers 2
id=$(e search start good.yaml 2>/dev/null)
finish "$id" 60

say "what only a worker can see ends the search with its reason"
failed() {
    await 30 over "$id" || fail "search $id is $(state_of "$id")"
    equal "state of search $id" failed "$(state_of "$id")"
    equal "reason of search $id" "$1" "$(sql "select reason from espalier.searches where id = $id")"
}
rm -rf data && mkdir data
{ printf '\0\0\010\003\0\0\0\024\0\0\0\034\0\0\0\034' && head -c 15680 /dev/zero; } >data/train-images-idx3-ubyte # 20 of 28 x 28
{ printf '\0\0\010\001\0\0\0\024' && head -c 20 /dev/zero; } >data/train-labels-idx1-ubyte
cp data/train-images-idx3-ubyte data/t10k-images-idx3-ubyte
cp data/train-labels-idx1-ubyte data/t10k-labels-idx1-ubyte
sed 's,^data: .*,data: {kind: idx\, path: data},' good.yaml >idx.yaml
id=$(e search start idx.yaml 2>/dev/null)
failed "profile failed: normalize has 3 numbers for mean and std, the images have 1 channels"
sed -i '/^normalize/d' idx.yaml
id=$(e search start idx.yaml 2>/dev/null)
failed "profile failed: split wants 500 reward and 200 calibrate images, the training set has 20"

say "and what the command line can see ends it before it begins"
refused() { # LINE OPTION...
    line=$1
    shift
    if e search start "$@" >out 2>err; then fail "search start $*"; fi
    equal "search start $*" "$line" "$(tail -n 1 err)"
}
refused "espalier: good.yaml with --set: spec: split.reward 9900 and split.calibrate 200: synthetic has 10000 training images" \
    good.yaml --set split.reward=9900
for f in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do echo short >data/$f.bin; done
sed 's,^data: .*,data: {kind: cifar10\, path: data},' good.yaml >bad.yaml
refused 'espalier: data.path "data": data file "data_batch_1.bin": 6 bytes, expected 30730000' bad.yaml
