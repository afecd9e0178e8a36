#!/bin/sh
# Inference on one thread: espalier in fp32 and bf16, PyTorch (eager, channels_last, frozen TorchScript) and
# onnxruntime in fp32, in turns, so that all meet the same weather; the median of each side's rounds at its best
# batch, and the ratios. Sides that aren't installed, and bf16 where the CPU has none, are left out, and said so.
#
#   tests/bench/infer.sh INFER_PROGRAM [MODEL.onnx]
#
# ROUNDS (3), SECONDS_EACH (1) of a measurement, PYTHON (/usr/bin/python3); onnxruntime-node is found by NODE_PATH.
set -eu
here=$(dirname "$0")/infer
infer=${1:?usage: infer.sh INFER_PROGRAM [MODEL.onnx]}
model=${2:-${ESPALIER_SHARED:-../shared}/data/models/cifar10_resnet56_akamaster.bn.onnx}
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-1} python=${PYTHON:-/usr/bin/python3}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

if [ ! -f "$model" ]; then
    echo "infer: skipped, no model at $model"
    exit 0
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Runs a side and notes its lines behind its name; a side that fails is left out from then on.
side() {
    name=$1
    shift
    case " ${absent:-} " in *" $name "*) return 0 ;; esac
    if lines=$("$@"); then
        echo "$lines" | sed "s/^/$name /" >> "$out"
    else
        absent="${absent:-} $name"
        echo "infer: $name left out: \"$1\" failed or isn't installed"
    fi
}

i=0
while [ $i -lt "$rounds" ]; do
    side espalier "$infer" "$model" "$seconds" 0 16
    side espalier-bf16 "$infer" bf16 "$model" "$seconds" 0 32
    for mode in eager channels_last frozen; do
        side "torch-$mode" "$python" "$here/torch_infer.py" "$model" "$seconds" $mode 8 32 64
    done
    side onnxruntime node "$here/ort_infer.js" "$model" "$seconds" 1 4 32
    i=$((i + 1))
done

# side batch wall cpu [share] -> the medians, each side's best batch, and how much faster espalier is.
awk -v model="$model" -v rounds="$rounds" '
    function median(list, a, n, i, j, t) {
        n = split(list, a, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    {
        if (!($1 in seen)) { order[++sides] = $1; seen[$1] = 1 }
        key = $1 " " $2
        wall[key] = wall[key] " " $3; cpu[key] = cpu[key] " " $4
        if (NF > 4) share[key] = share[key] " " $5
    }
    END {
        for (key in wall) {
            split(key, k, " ")
            w = median(wall[key]); c = median(cpu[key])
            if (w > best[k[1]]) { best[k[1]] = w; batch[k[1]] = k[2]; conv[k[1]] = share[key] }
            if (c > best_cpu[k[1]]) best_cpu[k[1]] = c
        }
        bf16 = "espalier-bf16"
        printf "inference, 1 thread, %s, median of %d rounds\n", model, rounds
        printf "%-20s %6s %10s %12s %8s %8s %12s %8s\n", "", "batch", "images/s", "espalier is", "bf16 is",
            "cpu i/s", "espalier is", "bf16 is"
        for (i = 1; i <= sides; i++) {
            s = order[i]
            printf "%-20s %6d %10.1f %11.2fx %7.2fx %8.1f %11.2fx %7.2fx\n", s, batch[s], best[s],
                best["espalier"] / best[s], best[bf16] / best[s],
                best_cpu[s], best_cpu["espalier"] / best_cpu[s], best_cpu[bf16] / best_cpu[s]
        }
        printf "of espalier'"'"'s time %.1f%% is in oneDNN'"'"'s conv primitives", 100 * median(conv["espalier"])
        if (bf16 in seen)
            printf ", in bf16 %.1f%%", 100 * median(conv[bf16])
        print ""
    }' "$out"
