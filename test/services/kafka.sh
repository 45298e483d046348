#!/usr/bin/env bash
# Apache Kafka 4.3.1 (KRaft, broker and controller in one JVM), from Maven packages. Default port 29092. Prints KAFKA_BROKERS;
# with KAFKA_SECURE=1 also KAFKA_SASL_PLAINTEXT, KAFKA_SSL, KAFKA_SASL_SSL, KAFKA_MTLS (addresses), KAFKA_USER, KAFKA_PASSWORD,
# KAFKA_CA_FILE, KAFKA_CLIENT_CERT_FILE, KAFKA_CLIENT_KEY_FILE (what MTLS demands of a client).
# Interface and common environment: lib.sh. Needs java 17 or newer, mvn and openssl. Beyond the common subcommands:
#   kafka.sh kill-node N | stop-node N | start-node N    one broker: SIGKILL, orderly stop, start again with its data
#   kafka.sh leader TOPIC                                one line per partition: leader, replicas, in-sync replicas
#   kafka.sh tool NAME|CLASS [ARG…]                      Kafka's own tools (names: see the function tool below)
# A node takes PORT (clients), PORT+1 (controller) and, when secure, PORT+2 SASL_PLAINTEXT, PORT+3 SSL, PORT+4 SASL_SSL, PORT+5 MTLS;
# node 2 begins at PORT+10, node 3 at PORT+20. Environment, read by start and kept for the instance until the next start:
#   KAFKA_NODES=1        3: a cluster with replication factor 3 and min.insync.replicas 2
#   KAFKA_SECURE=        1: the secure listeners; user hexkit, password hexkit-secret, by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
#   KAFKA_PARTITIONS=3   partitions of a topic that is created on first use
#   KAFKA_HEAP=256m      heap of one node
#   KAFKA_JAVA_OPTS=     further JVM options; they win over the ones below
#   KAFKA_EXTRA=         further lines for server.properties; they win over the ones below
#   KAFKA_LOG_LEVEL=warn
NAME=kafka VERSION=4.3.1 DEFAULT_PORT=29092
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

JARS_SHA256=1ebb25da0dd4e447626488f1fbfd938eed45c2297461ae381c11813de5c8d4c8 # of the sorted list of the jars' checksums
USER_NAME=hexkit PASSWORD=hexkit-secret
NODES=${KAFKA_NODES:-1} SECURE=${KAFKA_SECURE:-} PARTITIONS=${KAFKA_PARTITIONS:-3} HEAP=${KAFKA_HEAP:-256m}
JAVA_OPTS=${KAFKA_JAVA_OPTS:-} EXTRA=${KAFKA_EXTRA:-} LOG_LEVEL=${KAFKA_LOG_LEVEL:-warn}
[ "$SECURE" != 0 ] || SECURE=
ONLY= # the node that running and signal_and_wait are about; empty: all
DUMP= # the JVM option that writes the class archive, during install only

# One process per node, so these replace lib.sh's: an instance runs while any node does, and a signal goes to all of them.
node_pid() { # N
  local started; NODE_PID=
  [ -f "$RUN/pid-$1" ] && read -r NODE_PID started <"$RUN/pid-$1" && [ -n "$started" ] && [ "$(started_at "$NODE_PID")" = "$started" ]
}
running() {
  local n; PID=
  for n in ${ONLY:-$(seq "$NODES")}; do node_pid "$n" && PID+="${PID:+ }$NODE_PID"; done
  [ -n "$PID" ]
}
signal_and_wait() { # SIGNAL SECONDS
  running || return 0
  # shellcheck disable=SC2086 # one process per node
  kill "-$1" $PID 2>/dev/null || true
  for _ in $(seq $(($2 * 20))); do running || return 0; sleep 0.05; done
  return 1
}
# shellcheck disable=SC1091 # written by svc_launch
if [ -f "$RUN/settings" ] && { [ "${1:-}" != start ] || (. "$RUN/settings"; running); }; then . "$RUN/settings"; fi

port_of() { echo $((PORT + 10 * ($1 - 1) + ${2:-0})); } # NODE [OFFSET]
addresses() { local n s=; for n in $(seq "$NODES"); do s+=${s:+,}127.0.0.1:$(port_of "$n" "$1"); done; echo "$s"; }
ports_taken() { local n o; for n in $(seq "$NODES"); do for o in 0 1 ${SECURE:+2 3 4 5}; do ! port_open "$(port_of "$n" "$o")" || return 0; done; done; return 1; }
free_port() { local PORT; while PORT=$((20000 + RANDOM % 900 * 10)); ports_taken; do :; done; echo "$PORT"; } # below the ephemeral ones

jvm() { # LOG_LEVEL ARG…: java with what every start wants
  local level=$1 archive=$HOME_DIR/kafka.jsa; shift
  [ -f "$archive" ] && archive=-XX:SharedArchiveFile=$archive || archive=${DUMP:--Xshare:auto}
  exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "$archive" -Xlog:disable -Xlog:all=error:stderr -Dorg.slf4j.simpleLogger.defaultLogLevel="$level" -cp "$HOME_DIR/lib/*" "$@"
}

svc_install() {
  local plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies
  local need; for need in java mvn openssl; do command -v "$need" >/dev/null || die "needs $need"; done
  rm -rf "${HOME_DIR:?}"/{lib,tls,format,kafka.jsa}; mkdir -p "$HOME_DIR"/{tls,format}
  cat >"$HOME_DIR/pom.xml" <<E
<project><modelVersion>4.0.0</modelVersion><groupId>services</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency></dependencies></project>
E
  mvn -q -B -Dstyle.color=never -f "$HOME_DIR/pom.xml" "$plugin" -DincludeScope=runtime -DoutputDirectory="$HOME_DIR/lib" 2>&1 | sed 's/\x1b\[[0-9;]*m//g'
  local sum; sum=$(cd "$HOME_DIR/lib" && LC_ALL=C && sha256sum -- *.jar | sha256sum | cut -d' ' -f1)
  [ "$sum" = "$JARS_SHA256" ] || die "the jars are not the pinned ones: $sum"

  ( cd "$HOME_DIR/tls"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=services test CA" -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out server.crt \
      -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1)
    cat server.key server.crt ca.pem >server.pem ) 2>/dev/null

  # What a formatted data folder begins with (features, SCRAM users), made once and copied by every first start.
  echo -e "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\ncontroller.listener.names=C
listeners=P://127.0.0.1:2,C://127.0.0.1:1\nlistener.security.protocol.map=C:PLAINTEXT,P:PLAINTEXT\ninter.broker.listener.name=P
log.dirs=$HOME_DIR/format" >"$HOME_DIR/format.properties"
  ( jvm error kafka.tools.StorageTool format -t any -c "$HOME_DIR/format.properties" >/dev/null \
    --add-scram "SCRAM-SHA-256=[name=$USER_NAME,password=$PASSWORD]" --add-scram "SCRAM-SHA-512=[name=$USER_NAME,password=$PASSWORD]" )

  # One throw-away run writes the archive of loaded classes that makes every later start quick.
  ( RUN=$HOME_DIR/train DATA=$RUN/data LOG=$RUN/log NODES=1 SECURE=1 EXTRA='' JAVA_OPTS=''
    rm -rf "$RUN"; mkdir -p "$DATA"; PORT=$(free_port); DUMP=-XX:ArchiveClassesAtExit=$HOME_DIR/kafka.jsa; svc_launch; DUMP=
    for _ in $(seq 300); do svc_ready && break; running || die "$(tail -n 20 "$LOG")"; sleep 0.1; done
    { echo x | tool console-producer --topic t; tool console-consumer --topic t --group g --from-beginning --max-messages 1; } >/dev/null 2>&1 || true
    signal_and_wait TERM 60; rm -rf "$RUN" )
}

properties() { # NODE
  local i at=127.0.0.1 copies=$((NODES < 3 ? NODES : 3)) voters=
  for i in $(seq "$NODES"); do voters+=${voters:+,}$i@$at:$(port_of "$i" 1); done
  cat <<E
process.roles=broker,controller
node.id=$1
log.dirs=$DATA/$1
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MTLS:SSL
listeners=PLAINTEXT://$at:$(port_of "$1"),CONTROLLER://$at:$(port_of "$1" 1)${SECURE:+,SASL_PLAINTEXT://$at:$(port_of "$1" 2),SSL://$at:$(port_of "$1" 3),SASL_SSL://$at:$(port_of "$1" 4),MTLS://$at:$(port_of "$1" 5)}
auto.create.topics.enable=true
num.partitions=$PARTITIONS
default.replication.factor=$copies
min.insync.replicas=$((copies < 3 ? 1 : 2))
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$copies
transaction.state.log.num.partitions=3
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.num.partitions=3
share.coordinator.state.topic.min.isr=1
# no wait before the first assignment of a group; a dead node is noticed after 3 s instead of 9; less memory and disk
group.initial.rebalance.delay.ms=0
group.streams.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
E
  if [ -n "$SECURE" ]; then
    printf '%s\n' sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512 ssl.keystore.type=PEM "ssl.keystore.location=$HOME_DIR/tls/server.pem" \
      ssl.truststore.type=PEM "ssl.truststore.location=$HOME_DIR/tls/ca.pem" listener.name.mtls.ssl.client.auth=required
    for i in sasl_plaintext sasl_ssl; do
      echo "listener.name.$i.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$USER_NAME=\"$PASSWORD\";"
      printf "listener.name.$i.%s.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n" scram-sha-256 scram-sha-512
    done
  fi
  printf '%s\n' "$EXTRA"
}
client_certificate() { # made by the first start that needs it, signed by the CA of the install
  [ ! -f "$HOME_DIR/tls/client.crt" ] || return 0
  # A lock of its own: the installation, which starts a broker too, holds the other one.
  ( exec 8>"$HOME_DIR/.lock-client"; flock 8; cd "$HOME_DIR/tls"
    [ ! -f client.crt ] || exit 0
    openssl req -newkey rsa:2048 -nodes -subj /CN=hexkit-client -keyout client.key -out client.csr
    openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 3650 -out client.new
    rm client.csr; mv client.new client.crt ) 2>/dev/null
}
launch_node() { # NODE
  local dir=$DATA/$1
  [ -f "$DATA/cluster" ] || head -c 99 /dev/urandom | base64 -w0 | tr -d /+ | cut -c1-22 >"$DATA/cluster"
  if [ ! -f "$dir/meta.properties" ]; then
    mkdir -p "$dir"; cp "$HOME_DIR/format/bootstrap.checkpoint" "$dir"
    printf 'version=1\ncluster.id=%s\nnode.id=%s\ndirectory.id=node%017dA\n' "$(cat "$DATA/cluster")" "$1" "$1" >"$dir/meta.properties"
  fi
  properties "$1" >"$RUN/$1.properties"
  # shellcheck disable=SC2086 # several options
  ( trap "" HUP INT; jvm "$LOG_LEVEL" -Xmx"$HEAP" $JAVA_OPTS kafka.Kafka "$RUN/$1.properties" ) >>"$LOG" 2>&1 </dev/null 9>&- &
  PID=$!; echo "$PID $(started_at "$PID")" >"$RUN/pid-$1"
}
svc_launch() {
  local n
  declare -p NODES SECURE PARTITIONS HEAP JAVA_OPTS EXTRA LOG_LEVEL >"$RUN/settings"
  ! ports_taken || die "one of the ports from $PORT on is taken"
  [ -z "$SECURE" ] || client_certificate
  for n in $(seq "$NODES" -1 1); do launch_node "$n"; done
}
brokers_seen() { # PORT: asks for the cluster's metadata, prints the number of brokers in the answer
  ( exec 3<>"/dev/tcp/127.0.0.1/$1" && printf '\0\0\0\x0f\0\3\0\4\0\0\0\1\xff\xff\0\0\0\0\0' >&3 && timeout 2 head -c 16 <&3 | tail -c 1 | od -An -tu1 | tr -d " " ) 2>/dev/null
}
svc_ready() {
  local n o
  for n in $(seq "$NODES"); do
    [ "$(brokers_seen "$(port_of "$n")")" = "$NODES" ] || return 1
    for o in ${SECURE:+2 3 4 5}; do port_open "$(port_of "$n" "$o")" || return 1; done
  done
}
svc_env() {
  echo "KAFKA_BROKERS=$(addresses 0)"
  [ -z "$SECURE" ] || printf '%s\n' "KAFKA_SASL_PLAINTEXT=$(addresses 2)" "KAFKA_SSL=$(addresses 3)" "KAFKA_SASL_SSL=$(addresses 4)" \
    "KAFKA_MTLS=$(addresses 5)" "KAFKA_USER=$USER_NAME" "KAFKA_PASSWORD=$PASSWORD" "KAFKA_CA_FILE=$HOME_DIR/tls/ca.pem" \
    "KAFKA_CLIENT_CERT_FILE=$HOME_DIR/tls/client.crt" "KAFKA_CLIENT_KEY_FILE=$HOME_DIR/tls/client.key"
}

tool() { # NAME|CLASS ARG…; a NAME gets --bootstrap-server unless it is given
  local class=$1 server t=org.apache.kafka.tools; shift
  server=(--bootstrap-server "$(addresses 0)")
  case $class in
    topics) class=$t.TopicCommand ;;             configs) class=kafka.admin.ConfigCommand ;;
    groups) class=$t.GroupsCommand ;;            consumer-groups) class=$t.consumer.group.ConsumerGroupCommand ;;
    acls) class=$t.AclCommand ;;                 console-consumer) class=$t.consumer.ConsoleConsumer ;;
    transactions) class=$t.TransactionsCommand ;; console-producer) class=$t.ConsoleProducer ;;
    get-offsets) class=$t.GetOffsetShell ;;      delete-records) class=$t.DeleteRecordsCommand ;;
    features) class=$t.FeatureCommand ;;         metadata-quorum) class=$t.MetadataQuorumCommand ;;
    api-versions) class=$t.BrokerApiVersionsCommand ;; leader-election) class=$t.LeaderElectionCommand ;;
    perf-producer) class=$t.ProducerPerformance ;; reassign-partitions) class=$t.reassign.ReassignPartitionsCommand ;;
    perf-consumer) class=$t.ConsumerPerformance ;; dump-log) class=$t.DumpLogSegments server=() ;;
    *.*) server=() ;;
    *) die "no tool $class; give its class" ;;
  esac
  case " $* " in *" --bootstrap-server "*) server=() ;; esac
  ( jvm error "$class" "${server[@]}" "$@" )
}

command=${1:-}
case $command in
  tool|leader|kill-node|stop-node|start-node)
    [ -f "$PORTFILE" ] || die "never started"
    PORT=$(cat "$PORTFILE") ONLY=${2:-} ;;
esac
case $command in *-node) [[ $ONLY =~ ^[1-9]$ && $ONLY -le $NODES ]] || die "$command wants a node: 1 to $NODES" ;; esac
case $command in
  tool) shift; tool "${@:?which tool}" ;;
  leader) tool topics --describe --topic "${2:?which topic}" | awk '/Partition: / { for (i = 1; i < NF; i++) v[$i] = $(i + 1)
    print v["Topic:"] "-" v["Partition:"], "leader=" v["Leader:"], "replicas=" v["Replicas:"], "isr=" v["Isr:"] }' ;;
  kill-node) signal_and_wait KILL 5 ;;
  stop-node) signal_and_wait TERM 30 || signal_and_wait KILL 5 ;;
  start-node)
    ! running || exit 0
    launch_node "$ONLY"
    for _ in $(seq $((READY_SECONDS * 10))); do
      [ -z "$(brokers_seen "$(port_of "$ONLY")")" ] || exit 0
      running || die "node $ONLY ended while starting; log: $LOG"
      sleep 0.1
    done
    die "node $ONLY not ready within ${READY_SECONDS} s; log: $LOG" ;;
  *) main "$@" ;;
esac
