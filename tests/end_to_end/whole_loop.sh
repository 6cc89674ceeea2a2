#!/usr/bin/env bash
# The whole loop, one command after another: train → pack → verify → unpack → evaluate → reproduce.
# Usage: whole_loop.sh STORE GIN WORK    (hstu-preserve must be on PATH, or named by HSTU_PRESERVE)
set -euo pipefail
store=$1 gin=$2 work=$3
run=${HSTU_PRESERVE:-hstu-preserve}

$run data show "$store"
$run train "$gin" --data "$store" --device cpu --output "$work/run"
$run pack "$work/run" --output "$work/bundle.tar.gz"
$run verify "$work/bundle.tar.gz"
$run unpack "$work/bundle.tar.gz" --output "$work/unpacked"
(cd "$work/unpacked" && sha256sum --check --quiet SHA256SUMS)
$run evaluate "$work/unpacked" --data "$store" --device cpu --ranks "$work/first.npz"
$run evaluate "$work/bundle.tar.gz" --data "$store" --device cpu --ranks "$work/second.npz"
cmp "$work/first.npz" "$work/second.npz"
$run reproduce "$work/bundle.tar.gz" --data "$store" --device cpu --output "$work/verdicts"
