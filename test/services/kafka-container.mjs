import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docker, eventually, freePorts } from "./container.mjs";
import { watch } from "./server.mjs";

const image = process.env.HEXKIT_TEST_KAFKA_IMAGE ?? "apache/kafka:4.3.1";
const folderInside = "/mnt/shared/config";
const user = "hexkit";
const password = "hexkit-secret";
const readyMs = 60_000;

/** The same broker as `kafka.sh` starts, from the official image. Killing and restarting it is not offered. */
export async function startKafkaContainer(name, settings = {}) {
  const container = `hexkit-test-kafka-${name}`;
  const folder = mkdtempSync(join(tmpdir(), "hexkit-kafka-"));
  const release = watch("sh", ["-c", 'docker rm -f "$0"; rm -rf "$1"', container, folder]);
  const stop = async () => {
    await docker("rm", "-f", container).catch(() => {});
    rmSync(folder, { recursive: true, force: true });
    release();
  };
  try {
    const ports = await freePorts(5);
    makeCertificates(folder);
    writeFileSync(join(folder, "server.properties"), properties(ports, settings));
    // The image runs as a user of its own.
    chmodSync(folder, 0o755);
    const published = ports.flatMap((port) => ["-p", `127.0.0.1:${port}:${port}`]);
    await docker("run", "-d", "--name", container, "-v", `${folder}:${folderInside}:ro`, ...published, image);
    const scram = ["SCRAM-SHA-256", "SCRAM-SHA-512"].map((mechanism) => `${mechanism}=[password=${password}]`).join(",");
    const tool = (script, ...args) =>
      docker("exec", container, `/opt/kafka/bin/${script}.sh`, "--bootstrap-server", `127.0.0.1:${ports[0]}`, ...args);
    const addUser = () => tool("kafka-configs", "--alter", "--add-config", scram, "--entity-type", "users", "--entity-name", user);
    await eventually(addUser, readyMs);
    const at = (index) => `127.0.0.1:${ports[index]}`;
    return {
      addresses: {
        KAFKA_BROKERS: at(0),
        KAFKA_SASL_PLAINTEXT: at(1),
        KAFKA_SSL: at(2),
        KAFKA_SASL_SSL: at(3),
        KAFKA_MTLS: at(4),
        KAFKA_USER: user,
        KAFKA_PASSWORD: password,
        KAFKA_CA_FILE: join(folder, "ca.pem"),
        KAFKA_CLIENT_CERT_FILE: join(folder, "client.crt"),
        KAFKA_CLIENT_KEY_FILE: join(folder, "client.key"),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function properties(ports, settings) {
  const names = ["PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL", "MTLS"];
  const on = (host) => names.map((name, index) => `${name}://${host}:${ports[index]}`).join(",");
  const plain = (listener) =>
    `listener.name.${listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`;
  const scram = (listener, mechanism) =>
    `listener.name.${listener}.${mechanism}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;`;
  return [
    "process.roles=broker,controller",
    "node.id=1",
    "controller.quorum.voters=1@127.0.0.1:9999",
    "controller.listener.names=CONTROLLER",
    "inter.broker.listener.name=PLAINTEXT",
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MTLS:SSL",
    `listeners=${on("0.0.0.0")},CONTROLLER://127.0.0.1:9999`,
    `advertised.listeners=${on("127.0.0.1")}`,
    "log.dirs=/tmp/kafka-logs",
    "auto.create.topics.enable=true",
    `num.partitions=${settings.KAFKA_PARTITIONS ?? 3}`,
    "default.replication.factor=1",
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=3",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=1000",
    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    ...["sasl_plaintext", "sasl_ssl"].flatMap((listener) => [
      plain(listener),
      scram(listener, "scram-sha-256"),
      scram(listener, "scram-sha-512"),
    ]),
    "ssl.keystore.type=PEM",
    `ssl.keystore.location=${folderInside}/server.pem`,
    "ssl.truststore.type=PEM",
    `ssl.truststore.location=${folderInside}/ca.pem`,
    "listener.name.mtls.ssl.client.auth=required",
    settings.KAFKA_EXTRA ?? "",
    "",
  ].join("\n");
}

function makeCertificates(folder) {
  const script = `
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=services test CA" -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    printf subjectAltName=DNS:localhost,IP:127.0.0.1 >names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 30 -out server.crt -extfile names
    openssl req -newkey rsa:2048 -nodes -subj /CN=hexkit-client -keyout client.key -out client.csr
    openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 30 -out client.crt
    cat server.key server.crt ca.pem >server.pem
    chmod 644 *`;
  execFileSync("sh", ["-ec", script], { cwd: folder, stdio: "ignore" });
}
