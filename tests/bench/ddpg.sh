#!/bin/sh
# One DDPG update, here and in PyTorch, one thread each, in turn.
# Usage: tests/bench/ddpg.sh [ROUNDS]; B: the build folder.
here=$(dirname "$0")/ddpg
bin=${B:-build/release}/tests/bench/ddpg/ddpg
rounds=${1:-5}
python=${PYTHON:-/usr/bin/python3}
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

median() {
    sort -n | awk '{ x[NR] = $1 } END { print x[int((NR + 1) / 2)] }'
}

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "ddpg update: $("$bin") (us, kernels); PyTorch isn't installed for $python, no ratio"
    exit 0
fi
ours='' theirs=''
for i in $(seq "$rounds"); do
    a=$("$bin") || exit 1
    b=$("$python" "$here/torch_ddpg.py") || exit 1
    ours="$ours${a%% *}
"
    theirs="$theirs${b%% *}
"
done
ours=$(printf %s "$ours" | median)
theirs=$(printf %s "$theirs" | median)
echo "ddpg update, 1 thread: espalier $ours us (${a#* }), PyTorch $theirs us (${b#* }), ratio $(awk "BEGIN { printf \"%.2f\", $theirs / $ours }")"
