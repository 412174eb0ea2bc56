#!/bin/sh
# Builds the container images: tools/image.sh NAME[:TAG] [--push]. NAME:TAG is the small image, NAME:TAG-full has ffmpeg and
# pip. Needs docker.
set -eu
cd "$(dirname "$0")/.."

image="$1"
case "$image" in *:*) ;; *) image="$image:latest" ;; esac
docker build -f packaging/Dockerfile --target small -t "$image" .
docker build -f packaging/Dockerfile --target full -t "$image-full" .
docker run --rm "$image" --version
if [ "${2:-}" = --push ]; then
    docker push "$image"
    docker push "$image-full"
fi
