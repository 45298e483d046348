#!/usr/bin/env bash
# Versity S3 gateway 1.8.0 over a folder, built from its Go module: a second opinion beside MinIO. Default port 27070. Prints VERSITYGW_ENDPOINT,
# VERSITYGW_ACCESS_KEY_ID, VERSITYGW_SECRET_ACCESS_KEY, VERSITYGW_REGION.
# Interface and environment: lib.sh.
NAME=versitygw VERSION=1.8.0 DEFAULT_PORT=27070
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

svc_install() {
  command -v go >/dev/null || die "needs Go to build"
  GOBIN=$HOME_DIR/bin GOFLAGS=-trimpath CGO_ENABLED=0 go install -ldflags "-s -w" github.com/versity/versitygw/cmd/versitygw@v1.8.0
}
svc_launch() {
  mkdir -p "$DATA/objects" "$DATA/meta"
  ROOT_ACCESS_KEY=hexkit ROOT_SECRET_KEY=hexkit-secret "$HOME_DIR/bin/versitygw" --port "127.0.0.1:$PORT" --region us-east-1 --health /health --quiet \
    posix --sidecar "$DATA/meta" "$DATA/objects" >>"$LOG" 2>&1 9>&- </dev/null &
  PID=$!
}
svc_ready() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$PORT/health"; }
svc_env() { printf '%s\n' "VERSITYGW_ENDPOINT=http://127.0.0.1:$PORT" VERSITYGW_ACCESS_KEY_ID=hexkit VERSITYGW_SECRET_ACCESS_KEY=hexkit-secret VERSITYGW_REGION=us-east-1; }

main "$@"
