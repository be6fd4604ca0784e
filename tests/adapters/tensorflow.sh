#!/usr/bin/env bash
# Trains with gradwire.tensorflow on two ranks of MPI. Needs Debian as root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages=(g++ cmake openmpi-bin libopenmpi-dev)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'tensorflow-cpu==2.21.*' mpi4py scikit-learn "$here/../.."

cd "$work"
OMP_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3 timeout 300 mpirun --allow-run-as-root --oversubscribe -n 2 \
  "$work/venv/bin/python" "$here/tensorflow_worker.py"
