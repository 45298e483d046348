# shellcheck shell=bash
# Shared by the scripts beside it: paths, pid files, ports, waiting, the common subcommands. Sourced, never run.
# A script sets NAME and DEFAULT_PORT, defines svc_install, svc_launch (starts the server in the background on $PORT
# with data in $DATA, log to $LOG, and sets PID), svc_ready (exit 0 once the server really answers), svc_env (prints
# KEY=value lines for $PORT), and ends with: main "$@"
# Environment: HEXKIT_TEST_SERVICES_DIR  where servers are installed and run (default: the user's cache folder)
#              HEXKIT_TEST_INSTANCE      name of the instance, so that several run side by side (default: default)
#              HEXKIT_TEST_KEEP_DATA=1   start without wiping the instance's data (port 0: the same port as before)
set -euo pipefail

SERVICES=${HEXKIT_TEST_SERVICES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hexkit-services}
INSTANCE=${HEXKIT_TEST_INSTANCE:-default}
HOME_DIR=$SERVICES/$NAME                      # what install puts there, shared by all instances
RUN=$SERVICES/run/$NAME-$INSTANCE             # what one instance owns
DATA=$RUN/data LOG=$RUN/log PIDFILE=$RUN/pid PORTFILE=$RUN/port
READY_SECONDS=${READY_SECONDS:-60}

say()  { printf '%s\n' "$*" >&2; }
die()  { say "$NAME: $*"; exit 1; }
now_ms() { date +%s%3N; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The process of the pid file, if it is alive and still the one we started (same start time as when we wrote the file).
started_at() { awk '{ sub(/.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null; } # not for one that ended and is only waited for
running() {
  [ -f "$PIDFILE" ] || return 1
  read -r PID STARTED <"$PIDFILE" || return 1
  [ -n "$STARTED" ] && [ "$(started_at "$PID")" = "$STARTED" ]
}
signal_and_wait() { # SIGNAL SECONDS
  running || return 0
  kill "-$1" "$PID" 2>/dev/null || true
  for _ in $(seq $(($2 * 20))); do running || return 0; sleep 0.05; done
  return 1
}

locked_install() {
  mkdir -p "$HOME_DIR"
  exec 9>"$HOME_DIR/.lock"; flock 9
  if [ ! -e "$HOME_DIR/.installed-$VERSION" ]; then
    local t; t=$(now_ms)
    svc_install >&2
    touch "$HOME_DIR/.installed-$VERSION"
    say "$NAME $VERSION installed in $(( $(now_ms) - t )) ms, $(du -sm "$HOME_DIR" | cut -f1) MB"
  fi
  exec 9>&-
}

launch_and_wait() {
  local t; t=$(now_ms)
  mkdir -p "$DATA"; echo "$PORT" >"$PORTFILE"
  svc_launch 9>&-
  echo "$PID $(started_at "$PID")" >"$PIDFILE"
  while [ $(( $(now_ms) - t )) -lt $((READY_SECONDS * 1000)) ]; do
    svc_ready >/dev/null 2>&1 && running && { say "$NAME ($INSTANCE) ready on port $PORT in $(( $(now_ms) - t )) ms"; svc_env; return; }
    running || { tail -n 20 "$LOG" >&2; die "ended while starting; log: $LOG"; }
    sleep 0.1
  done
  tail -n 20 "$LOG" >&2; die "not ready within ${READY_SECONDS} s; log: $LOG"
}

# One command at a time on an instance: two starts at once would leave a server behind that no pid file knows.
lock_instance() { mkdir -p "$SERVICES/run"; exec 9>"$SERVICES/run/.lock-$NAME-$INSTANCE"; flock 9; }   # the server does not inherit 9

main() {
  case "${1:-}" in start) running || locked_install ;; esac
  case "${1:-}" in start | restart | stop | kill | clean) lock_instance ;; esac
  case "${1:-}" in
    install) locked_install ;;
    start)
      if running; then PORT=$(cat "$PORTFILE"); say "$NAME ($INSTANCE) already running"; svc_env; return; fi
      PORT=${2:-$DEFAULT_PORT}
      [ "$PORT" != 0 ] || { [ "${HEXKIT_TEST_KEEP_DATA:-}" = 1 ] && [ -f "$PORTFILE" ] && PORT=$(cat "$PORTFILE"); } || PORT=$(free_port)
      port_open "$PORT" && die "port $PORT is taken; give another one, or 0 for a free one"
      [ "${HEXKIT_TEST_KEEP_DATA:-}" = 1 ] || rm -rf "$DATA"
      mkdir -p "$RUN"; : >"$LOG"
      launch_and_wait ;;
    restart)
      [ -f "$PORTFILE" ] || die "never started"
      signal_and_wait TERM 30 || signal_and_wait KILL 5
      PORT=$(cat "$PORTFILE"); launch_and_wait ;;
    stop) signal_and_wait TERM 30 || { say "$NAME: did not stop within 30 s, killed"; signal_and_wait KILL 5; }; rm -f "$PIDFILE" ;;
    kill) signal_and_wait KILL 5; rm -f "$PIDFILE" ;;
    status) if running; then echo "running pid=$PID port=$(cat "$PORTFILE")"; else echo stopped; exit 3; fi ;;
    env) [ -f "$PORTFILE" ] || die "never started"; PORT=$(cat "$PORTFILE"); svc_env ;;
    clean) signal_and_wait TERM 10 || signal_and_wait KILL 5; rm -rf "$RUN" "$SERVICES/run/.lock-$NAME-$INSTANCE" ;;
    *) say "usage: $NAME.sh install | start [PORT|0] | stop | restart | kill | status | clean | env"; exit 2 ;;
  esac
}
