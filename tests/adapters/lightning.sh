#!/usr/bin/env bash
# Trains with PyTorch Lightning on two ranks. Needs Debian as root.
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
"$work/venv/bin/pip" install -q torch==2.13.0 'lightning==2.6.*' scikit-learn "$here/../.."

cd "$work"
export OMP_NUM_THREADS=1 TMPDIR=$work
for strategy in ddp ddp_spawn ddp_fork; do
  timeout 300 "$work/venv/bin/python" "$here/lightning_worker.py" $strategy "$work/weights"
done
