#!/bin/bash
# Runs the command, `redis-server` with its arguments, open to the container's network.
set -eu
mkdir -p /data
cd /data
exec "$@" --bind '* -::*' --protected-mode no
