#!/bin/sh
# How much each proxy says about fine-tuned accuracy: ResNet-20, random candidates at half the MACs; some 20 minutes. With B=build/FLAVOUR,
# the unpacked CIFAR-10 in ESPALIER_DATA/cifar10 and the networks in ESPALIER_SHARED. Arguments: candidates, epochs, steps of the short
# fine-tuning, precision, threads.
set -eu
cd "$(dirname "$0")/../.."
model=${ESPALIER_SHARED:-../shared}/data/models/cifar10_resnet20_akamaster.bn.onnx
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec "${B:-build/release}/tests/bench/study/study" "$model" "${ESPALIER_DATA:?the folder of unpacked data sets}/cifar10" "${1:-20}" 0.5 "${2:-3}" \
    "${3:-100}" "${4:-bf16}" "${5:-$(nproc)}"
