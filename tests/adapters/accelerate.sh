#!/usr/bin/env bash
# Trains with Hugging Face Accelerate on two ranks. Needs Debian as root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages=(g++ cmake)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 'accelerate==1.15.*' scikit-learn "$here/../.."

cd "$work"
export OMP_NUM_THREADS=1 TMPDIR=$work
timeout 300 "$work/venv/bin/torchrun" --standalone --nproc_per_node=2 "$here/accelerate_worker.py"
