# The real thing: pretrained ResNets on the whole CIFAR-10 test set score what an independent program measured, and half of ResNet-56 keeps
# what the sensitivity allocation promises (README's table), before any fine-tuning.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

models=${ESPALIER_SHARED:-../shared}/data/models
cifar=${ESPALIER_DATA:-}/cifar10
[ -f "$models/cifar10_resnet56_akamaster.bn.onnx" ] && [ -f "$cifar/test_batch.bin" ] ||
    skip "no pretrained networks in $models, or no CIFAR-10 in $cifar"

correct() { # FILE: top-1 count
    espalier score "$1" --data "cifar10:$cifar" --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375 |
        sed -nE 's/^top1 ([0-9]+) of 10000 .*/\1/p'
}

for form in bn fold rawbn; do
    equal "resnet20.$form" 9173 "$(correct "$models/cifar10_resnet20_akamaster.$form.onnx")"
done
equal "resnet56.bn" 9339 "$(correct "$models/cifar10_resnet56_akamaster.bn.onnx")"
say "dense networks score what they should"

cat >"$tmp/spec.yaml" <<EOF
spec_version: 1
name: resnet56-half
model: $models/cifar10_resnet56_akamaster.bn.onnx
data: {kind: cifar10, path: $cifar}
normalize: {mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}
split: {reward: 5000, calibrate: 2000}
budgets: {flops: [0.5]}
search: {policy: sensitivity, episodes: 1}
cut: {groups: inner, round_to: 1}
EOF
THREADS=2
up --workers 1
id=$(start "$tmp/spec.yaml")
finish "$id" 400
reward=$(sql "select top1 from espalier.results where search = $id")
test=$(sql "select top1 from espalier.finals where search = $id")
say "half of ResNet-56: $reward of 5000 on the reward split, $test of 10000 on the test set"
[ "$reward" -ge 4725 ] || fail "$reward of 5000 on the reward split: at least 94.5% is expected"
[ "$test" -ge 8750 ] || fail "$test of 10000 on the test set: at least 87.5% is expected"
e export "$id" 0 -o "$tmp/half.onnx" >"$tmp/export.out" 2>&1
equal "the exported file's score" "$test" "$(correct "$tmp/half.onnx")"
