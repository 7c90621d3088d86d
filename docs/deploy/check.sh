#!/usr/bin/env bash
# Runs an export on TF Serving's own server, in docker, and compares its answers with the golden
# ones. Not run here: it needs docker and the image.
#
#   docs/deploy/check.sh runs/space_invaders_DQN_1/exports/space_invaders
set -euo pipefail

model_dir=$(realpath "$1")
name=$(basename "$model_dir")
version=$(find "$model_dir" -mindepth 1 -maxdepth 1 -regex '.*/[0-9]+' -printf '%f\n' | sort -n | tail -n 1)

container=$(docker run --detach --rm --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 \
    --volume "$model_dir:/models/$name:ro" --env MODEL_NAME="$name" tensorflow/serving:2.15.1)
trap 'docker logs "$container" 2>&1 | tail -n 20; docker stop "$container" > /dev/null' EXIT
for _ in $(seq 60); do
    curl --silent --fail "http://127.0.0.1:8501/v1/models/$name/metadata" > /dev/null && break
    sleep 1
done

"${PYTHON:-python}" "$(dirname "$0")/check_answers.py" --version_dir="$model_dir/$version" \
    --address=127.0.0.1:8500 --address=http://127.0.0.1:8501
