#!/usr/bin/env bash
# Checks and times the hook for PyTorch on a machine with one NVIDIA GPU, on two ranks that share it.
# Takes python3's torch if that has CUDA, or else installs the newest one (some 3 GB) in a temporary
# folder. Builds gradwire, or without a network takes a wheel from dist/. Prints a table and a line
# of JSON. Exit status: 0, 1 if something is wrong, or 2 if there is no GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=python3
if ! python3 -c 'import sys, numpy, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  if ! nvidia-smi -L >/dev/null 2>&1 && ! [ -e /dev/nvidia0 ]; then
    echo "no CUDA device found"
    exit 2
  fi
  python3 -m venv "$work/venv"
  python=$work/venv/bin/python
  echo "installing torch"
  "$python" -m pip install -q torch numpy || {
    echo "python3 has no torch with CUDA, and pip could not install one" >&2
    exit 1
  }
fi

echo "installing gradwire"
shopt -s nullglob
wheels=("$root"/dist/gradwire-*.whl)
if [ ${#wheels[@]} -gt 0 ]; then
  "$python" -m pip install -q --no-index --no-deps --target "$work/site" "${wheels[-1]}"
else
  if ! command -v g++ >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ >/dev/null
  fi
  "$python" -m pip install -q --no-deps --target "$work/site" "$root"
fi

PYTHONPATH=$work/site timeout 400 "$python" "$here/worker.py" --device cuda
