#!/usr/bin/env bash
# Compares an export with its golden answers in OpenVINO, ONNX Runtime and LiteRT, each in a fresh
# environment without TensorFlow. The version must have been exported with both formats.
#
#   benchmarks/runtimes.sh exports/space_invaders/1
set -euo pipefail

root=$(realpath "$(dirname "$0")/..")
environments=$(mktemp --directory)
trap 'rm -rf "$environments"' EXIT
for pair in openvino:openvino onnxruntime:onnxruntime litert:ai-edge-litert; do
    "${PYTHON:-python3}" -m venv "$environments/${pair%:*}"
    python="$environments/${pair%:*}/bin/python"
    "$python" -m pip install --quiet "${pair#*:}" numpy absl-py
    PYTHONPATH="$root" "$python" "$root/benchmarks/runtimes.py" --runtime="${pair%:*}" --version_dir="$1"
    "$python" -m pip list --format=freeze | grep -i "^${pair#*:}=="
done
