import { loadTestcontainers } from "./client.ts";
import { type ContainerOptions, type ServerInContainer, type ServerSpec, startServer } from "./server.ts";

const kafkaPort = 9092;
const startScript = "/tmp/hexkit-start.sh";
const waiting = "waits for its address";
const mongodbPort = 27017;
const minioPort = 9000;
const login = { accessKeyId: "hexkit", secretAccessKey: "hexkit-secret" };

export const kafka: ServerSpec = {
  image: "apache/kafka:4.3.1",
  plugin: "kafka",
  // Clients go where the broker says that it is, and that is known only once the container has its port: the broker starts after that.
  plan: (container, { Wait }) =>
    container
      .withExposedPorts(kafkaPort)
      .withEnvironment({
        KAFKA_NODE_ID: "1",
        KAFKA_PROCESS_ROLES: "broker,controller",
        KAFKA_CONTROLLER_QUORUM_VOTERS: "1@localhost:9093",
        KAFKA_CONTROLLER_LISTENER_NAMES: "CONTROLLER",
        KAFKA_LISTENERS: `HOST://:${kafkaPort},INSIDE://:19092,CONTROLLER://:9093`,
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: "HOST:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        KAFKA_INTER_BROKER_LISTENER_NAME: "INSIDE",
        KAFKA_NUM_PARTITIONS: "3",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1",
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0",
      })
      .withEntrypoint(["bash"])
      .withCommand(["-c", `echo '${waiting}'; while [ ! -f ${startScript} ]; do sleep 0.1; done; exec bash ${startScript}`])
      .withWaitStrategy(Wait.forLogMessage(waiting) as never),
  ready: async (container, until) => {
    const address = `${container.getHost()}:${container.getMappedPort(kafkaPort)}`;
    const content = `export KAFKA_ADVERTISED_LISTENERS='HOST://${address},INSIDE://localhost:19092'\nexec /etc/kafka/docker/run\n`;
    await container.copyContentToContainer([{ content, target: startScript }]);
    await until(["/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", "localhost:19092"]);
  },
  options: (container) => ({ brokers: [`${container.getHost()}:${container.getMappedPort(kafkaPort)}`] }),
};

export const mongodb: ServerSpec = {
  image: "mongo:6.0.5",
  plugin: "mongodb",
  plan: (container, { Wait }) =>
    container
      .withExposedPorts(mongodbPort)
      .withCommand(["mongod", "--replSet", "rs0", "--bind_ip_all"])
      .withWaitStrategy(Wait.forListeningPorts() as never),
  ready: (_container, until) => {
    const initiate = `try { rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "localhost:${mongodbPort}" }] }) } catch {}`;
    return until(["mongosh", "--quiet", "--eval", `${initiate}; if (!db.hello().isWritablePrimary) quit(1)`]);
  },
  // Directly, because the set knows itself by its address inside the container.
  options: (container) => ({
    dsn: `mongodb://${container.getHost()}:${container.getMappedPort(mongodbPort)}/?directConnection=true`,
    database: "test",
  }),
};

export const minio: ServerSpec = {
  image: "minio/minio:RELEASE.2025-09-07T16-13-09Z",
  plugin: "s3",
  plan: (container, { Wait }) =>
    container
      .withExposedPorts(minioPort)
      .withEnvironment({ MINIO_ROOT_USER: login.accessKeyId, MINIO_ROOT_PASSWORD: login.secretAccessKey })
      .withCommand(["server", "--quiet", "--address", `:${minioPort}`, "/data"])
      .withWaitStrategy(Wait.forHttp("/minio/health/ready", minioPort) as never),
  options: (container) => ({
    endpoint: `http://${container.getHost()}:${container.getMappedPort(minioPort)}`,
    region: "us-east-1",
    pathStyle: true,
    ...login,
  }),
};

/**
 * Starts an Apache Kafka broker of its own; topics are created by their first use, with three partitions.
 * @throws ERR_HEXKIT_PACKAGE_MISSING without testcontainers, ERR_HEXKIT_UNAVAILABLE if no container engine answers or the container does not start,
 * ERR_HEXKIT_TIMEOUT if the server does not answer in time.
 */
export async function startKafka(options: ContainerOptions = {}): Promise<ServerInContainer> {
  return startServer(kafka, options, await loadTestcontainers());
}

/** Starts a MongoDB server as a replica set of one, which has transactions and change streams. @throws as `startKafka`. */
export async function startMongodb(options: ContainerOptions = {}): Promise<ServerInContainer> {
  return startServer(mongodb, options, await loadTestcontainers());
}

/** Starts a MinIO server, which speaks S3, for the plugin `s3`. @throws as `startKafka`. */
export async function startS3(options: ContainerOptions = {}): Promise<ServerInContainer> {
  return startServer(minio, options, await loadTestcontainers());
}
