# Folders of JPEG files from end to end: scored, searched on by a worker that gets them from the coordinator and by one that has
# them, trained on here and as a job; what is broken is named. With the networks and pictures of ../shared/data, where they are,
# the counts that an independent program measured.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

shared=${ESPALIER_SHARED:-../shared}/data
[ -d "$shared" ] && shared=$(cd "$shared" && pwd)
PATH=$ESPALIER_BIN/tests/tools:$PATH
model
pictures -o "$tmp/pics" --train 500 --test 200 --scale 1
pictures -o "$tmp/whole" --train 300 --scale 2
cd "$tmp"

# score FOLDER [OPTION]...: prints top-1 "of" images
score() {
    folder=$1
    shift
    espalier score demo.onnx --data "images:$folder" --mean 127.5 --std 54 "$@" | sed -nE 's/^top1 ([0-9]+ of [0-9]+) .*/\1/p'
}
parts() { # CACHE: the files in it that begin with a JPEG file
    for f in "$1"/*; do head -c 3 "$f" | od -An -tx1; done | grep -c 'ff d8 ff' || true
}
refused() { # LINE COMMAND...
    want=$1
    shift
    "$@" >refused.out 2>&1 && fail "$* is accepted"
    equal "$*" "$want" "$(cat refused.out)"
}

say "scored"
test=$(score pics --resize 32)
case $test in *" of 200") ;; *) fail "score pics: \"$test\"" ;; esac
[ "${test%% *}" -ge 150 ] || fail "pictures of what the network knows: $test"
equal "without room for decoded ones" "$test" "$(score pics --resize 32 --memory 0 --threads 3)"
equal "the test part by name" "$test" "$(score pics --resize 32 --split test)"
equal "its folder alone" "$test" "$(score pics/test --resize 32)"
train=$(score pics --resize 32 --split train)
case $train in *" of 500") ;; *) fail "score pics --split train: \"$train\"" ;; esac
# The same from a label file, in another order.
{
    echo file,class
    (cd pics/test && ls */*.jpg) | sort -t / -k 2 | sed -E 's/^class([0-9]).*/&,\1/'
} >pics/test/mine.csv
equal "by a label file" "$test" "$(score pics/test --resize 32 --labels mine.csv)"
rm pics/test/mine.csv

say "searched"
cat >spec.yaml <<END
spec_version: 1
name: pictures
model: demo.onnx
data: {kind: images, path: pics, resize: 32}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
split: {reward: 200, calibrate: 100}
budgets: {flops: [0.6]}
search: {policy: random, episodes: 3, warmup: 0}
finetune: {epochs: 1, batch: 25, lr: 0.01, augment: {scale: [0.6, 1]}}
finish: {top: 1, epochs: 1, batch: 50, lr: 0.01, augment: {scale: [0, 0]}}
END
up --workers 1
id=$(start spec.yaml)
mv pics elsewhere # what the worker needs, it has got from the coordinator
finish "$id" 200
mv elsewhere pics
equal "parts in the worker's cache" 1 "$(parts "$dir/cache")"
equal "test images of the finalist" 200 "$(sql "select n from espalier.finals where search = $id")"
episode=$(sql "select episode from espalier.finals where search = $id")
e export "$id" "$episode" -o cut.onnx 2>export.err || fail "export: $(cat export.err)"
equal "the exported file" "$(sql "select top1 || ' of ' || n from espalier.finals where search = $id")" \
    "$(espalier score cut.onnx --data images:pics --resize 32 --mean 127.5 --std 54 | sed -nE 's/^top1 ([0-9]+ of [0-9]+) .*/\1/p')"

say "searched by a worker that has the folder, and room for no decoded image"
e down >/dev/null 2>&1
up --workers 0
espalier-worker --connect "$(cat "$dir/run/bind")" --threads 1 --cache "$tmp/cache" --data "images=$tmp/nowhere" --data "images=$tmp/pics" \
    --memory 0 2>worker.log &
worker=$!
again=$(start spec.yaml)
finish "$again" 200
equal "digests" "$(e digest "$id")" "$(e digest "$again")"
grep -q 'path="[^"]*/nowhere" unused=' worker.log || fail "no word of the folder that isn't there"
equal "parts that were fetched all the same" 0 "$(parts cache)"

say "without parts: the test set is what the search didn't take"
id=$(start spec.yaml --set data.path="$tmp/whole" --set data.resize=64 --set split.reward=100 --set split.calibrate=50 --set finish.epochs=0)
finish "$id" 200
equal "test images" 150 "$(sql "select n from espalier.finals where search = $id")"
refused "espalier: split.reward 200 and split.calibrate 100 leave none of the 300 images to test finalists on" \
    e search start spec.yaml --set data.path="$tmp/whole"

say "trained, here and as a job"
cat >train.yaml <<END
spec_version: 1
name: little
model: demo.onnx
data: {kind: images, path: pics, resize: 32}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
train: {epochs: 2, batch: 50, lr: 0.02, augment: {scale: [0.6, 1]}}
END
espalier train train.yaml -o here.onnx --threads 1 >here.out 2>&1 || fail "train: $(cat here.out)"
e train train.yaml --job -o job.onnx >job.out 2>&1 || fail "train --job: $(cat job.out)"
tail -n 1 here.out
equal "the job's end" "$(tail -n 1 here.out | sed 's/  loss.*//')" "$(tail -n 1 job.out | sed 's/  loss.*//')"
espalier train train.yaml -o named.onnx --threads 1 --set model=resnet-20 --set data.size=32 --set train.steps=2 --set train.epochs=0 >named.out 2>&1 ||
    fail "train by name: $(cat named.out)"
refused "espalier: data.path: a training needs two parts in it, train and test (or val)" \
    espalier train train.yaml -o whole.onnx --set data.path="$tmp/whole"

say "broken files are named"
first=$(find pics/test -name '*.jpg' | sort | head -n 1)
name=${first#pics/}
cp "$first" good.jpg
head -c 500 good.jpg >"$first"
refused "espalier-worker score: image \"$name\": broken JPEG file: Premature end of JPEG file" \
    espalier score demo.onnx --data images:pics --resize 32
id=$(start spec.yaml --set finish.epochs=0 --set finetune.epochs=0)
finish_failed() { over "$1" && [ "$(sql "select count(*) from espalier.finals where search = $1 and failed is not null")" = 1 ]; }
await 100 finish_failed "$id" || fail "search $id: $(state_of "$id")"
sql "select failed from espalier.finals where search = $id" | grep -qF "image \"$name\": broken JPEG file: Premature end of JPEG file" ||
    fail "the finalist's failure: $(sql "select failed from espalier.finals where search = $id")"
echo "I am no picture" >"$first"
refused "espalier-worker score: \"pics/$name\" begins like neither a JPEG nor a PNG file" \
    espalier score demo.onnx --data images:pics --resize 32
cp good.jpg "$first"
kill "$worker" && wait "$worker" || true

v1=$shared/models/imagenet_mobilenet_v1_0.25_128.bn.onnx
v2=$shared/models/imagenet_tf2_mobilenet_v2_1.0_224_ptq_dequant.fold.onnx
if [ -f "$v1" ] && [ -f "$v2" ] && [ -f "$shared/imagenet-sample/labels.csv" ]; then
    say "ImageNet's MobileNets"
    counts() { espalier score "$@" --data "images:$shared/imagenet-sample" --mean 127.5 --std 127.5 | sed -nE 's/^top1 ([0-9]+) of 500 .* top5 ([0-9]+) .*/\1 \2/p'; }
    equal "MobileNetV1 0.25, 128 pixels" "222 351" "$(counts "$v1")"
    equal "MobileNetV2, 224 pixels" "430 484" "$(counts "$v2" --offset 1)"
else
    say "skipped: no pretrained networks and pictures in $shared"
fi
