#!/usr/bin/env bash
# MinIO server (last published source, 2026-02-12), built from its Go module. Default port 29000. Prints MINIO_ENDPOINT, MINIO_ACCESS_KEY_ID,
# MINIO_SECRET_ACCESS_KEY, MINIO_REGION. Interface and environment: lib.sh.
NAME=minio VERSION=20260212201848 DEFAULT_PORT=29000
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() {
  command -v go >/dev/null || die "needs Go to build"
  GOBIN=$HOME_DIR/bin GOFLAGS=-trimpath CGO_ENABLED=0 go install -ldflags "-s -w" github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
}
svc_launch() {
  MINIO_ROOT_USER=hexkit MINIO_ROOT_PASSWORD=hexkit-secret MINIO_BROWSER=off MINIO_UPDATE=off MINIO_CI_CD=1 \
    "$HOME_DIR/bin/minio" server --quiet --address "127.0.0.1:$PORT" "$DATA" >>"$LOG" 2>&1 9>&- </dev/null &
  PID=$!
}
svc_ready() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$PORT/minio/health/ready"; }
svc_env() { printf '%s\n' "MINIO_ENDPOINT=http://127.0.0.1:$PORT" MINIO_ACCESS_KEY_ID=hexkit MINIO_SECRET_ACCESS_KEY=hexkit-secret MINIO_REGION=us-east-1; }

main "$@"
