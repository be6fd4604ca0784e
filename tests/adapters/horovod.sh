#!/usr/bin/env bash
# Trains with gradwire.horovod on two ranks. Builds Horovod from source, which takes minutes. Needs
# Debian as root.
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
export PATH=$work/venv/bin:$PATH
pip install -q torch==2.13.0 scikit-learn 'setuptools<80' wheel cloudpickle psutil pyyaml packaging \
  cffi pycparser
pip install -q "$here/../.."

# Horovod 0.28.1 asks for C++14 and an old CMake; this torch needs C++17.
pip download -q --no-deps --no-build-isolation --no-binary horovod -d "$work" horovod==0.28.1
tar -xzf "$work/horovod-0.28.1.tar.gz" -C "$work"
cd "$work/horovod-0.28.1"
sed -i 's/CMAKE_CXX_STANDARD 14/CMAKE_CXX_STANDARD 17/' CMakeLists.txt horovod/torch/CMakeLists.txt
CMAKE_POLICY_VERSION_MINIMUM=3.5 HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 \
  HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
  pip install -q --no-build-isolation --no-deps .

cd "$work"
OMP_NUM_THREADS=1 timeout 300 horovodrun --gloo -np 2 -H localhost:2 \
  python "$here/horovod_worker.py" | sed -u 's/^\[0\]<stdout>://'
