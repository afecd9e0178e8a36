#!/bin/sh
# Training steps of ResNet-56 and MobileNetV2 on 32x32 images, batch 128: espalier in fp32 and bf16 beside PyTorch's fp32 in both layouts, in
# turns, so that all meet the same weather. The median of each side's rounds, and how much faster than the better of PyTorch's layouts, by the
# clock and by processor time (which other programs on the machine disturb less).
#
#   tests/bench/train.sh TRAIN_PROGRAM
#
# ROUNDS (3), SECONDS_EACH (4) of a measurement, ALL_THREADS ("1 2"), PYTHON (/usr/bin/python3).
set -eu
here=$(dirname "$0")/train
train=${1:?usage: train.sh TRAIN_PROGRAM}
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-4} python=${PYTHON:-/usr/bin/python3} batch=128
out=$(mktemp)
trap 'rm -f "$out"' EXIT
export OPENBLAS_NUM_THREADS=1

with_torch=yes
"$python" -c 'import torch' 2> /dev/null || with_torch=
[ "$with_torch" ] || echo "train: no PyTorch for $python; espalier alone"

for net in resnet-56 mobilenet-v2; do
    for threads in ${ALL_THREADS:-1 2}; do
        i=0
        while [ $i -lt "$rounds" ]; do
            for type in fp32 bf16; do
                echo "$net $threads espalier-$type $("$train" $net $batch "$threads" $type "$seconds")" >> "$out"
            done
            for mode in ${with_torch:+plain channels_last}; do
                echo "$net $threads torch-$mode $(OMP_NUM_THREADS=$threads "$python" "$here/torch_train.py" $net $batch "$threads" $mode "$seconds")" >> "$out"
            done
            i=$((i + 1))
        done
    done
done

# net threads side wall cpu [share] -> a table.
awk -v batch=$batch -v rounds="$rounds" '
    function median(list, a, n, i, j, t) {
        n = split(list, a, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    {
        key = $1 " " $2 " " $3
        if (!(key in wall)) order[++rows] = key
        wall[key] = wall[key] " " $4; cpu[key] = cpu[key] " " $5
        if (NF > 5) share[key] = share[key] " " $6
    }
    END {
        for (key in wall) {
            split(key, k, " ")
            of = k[1] " " k[2]
            w[key] = median(wall[key]); c[key] = median(cpu[key])
            if (k[3] ~ /^torch/ && w[key] > torch_wall[of]) torch_wall[of] = w[key]
            if (k[3] ~ /^torch/ && c[key] > torch_cpu[of]) torch_cpu[of] = c[key]
        }
        printf "training steps, batch %d, 32x32 images, median of %d rounds; against the better of PyTorch'"'"'s fp32\n", batch, rounds
        printf "%-13s %7s %-20s %9s %8s %9s %8s %8s\n", "", "threads", "", "images/s", "", "cpu i/s", "", "in convs"
        for (i = 1; i <= rows; i++) {
            key = order[i]
            split(key, k, " ")
            of = k[1] " " k[2]
            printf "%-13s %7d %-20s %9.1f %7s %9.1f %7s %8s\n", k[1], k[2], k[3], w[key],
                torch_wall[of] ? sprintf("%.2fx", w[key] / torch_wall[of]) : "", c[key],
                torch_cpu[of] ? sprintf("%.2fx", c[key] / torch_cpu[of]) : "",
                key in share ? sprintf("%.1f%%", 100 * median(share[key])) : ""
        }
    }' "$out"
