import { execFile } from "node:child_process";
import { connect, createServer } from "node:net";
import { promisify } from "node:util";
import { instanceName, watch } from "./server.mjs";

const readyMs = 60_000;
const credentials = { ACCESS_KEY_ID: "hexkit", SECRET_ACCESS_KEY: "hexkit-secret", REGION: "us-east-1" };

/** The servers of the scripts of the same names, from their images. Killing and restarting them is not offered. */
const images = {
  minio: {
    image: "minio/minio:RELEASE.2025-09-07T16-13-09Z",
    options: ["-e", `MINIO_ROOT_USER=${credentials.ACCESS_KEY_ID}`, "-e", `MINIO_ROOT_PASSWORD=${credentials.SECRET_ACCESS_KEY}`],
    command: (port) => ["server", "--quiet", "--address", `:${port}`, "/data"],
    ready: (port) => answers(`http://127.0.0.1:${port}/minio/health/ready`),
    addresses: (port) => s3Addresses("MINIO", port),
  },
  versitygw: {
    image: "versity/versitygw:v1.8.0",
    options: [
      ...["-e", `ROOT_ACCESS_KEY=${credentials.ACCESS_KEY_ID}`, "-e", `ROOT_SECRET_KEY=${credentials.SECRET_ACCESS_KEY}`],
      ...["--tmpfs", "/objects", "--tmpfs", "/meta"],
    ],
    command: (port) => [
      "--port",
      `:${port}`,
      "--region",
      credentials.REGION,
      "--health",
      "/health",
      "posix",
      "--sidecar",
      "/meta",
      "/objects",
    ],
    ready: (port) => answers(`http://127.0.0.1:${port}/health`),
    addresses: (port) => s3Addresses("VERSITYGW", port),
  },
  mongodb: {
    image: "mongo:6.0.5",
    options: [],
    command: (port) => ["mongod", "--replSet", "rs0", "--port", `${port}`, "--bind_ip_all", "--setParameter", "enableTestCommands=1"],
    ready: (port, container) => {
      const member = `{ _id: 0, host: "127.0.0.1:${port}" }`;
      const script = `try { rs.initiate({ _id: "rs0", members: [${member}] }) } catch {}; if (!db.hello().isWritablePrimary) quit(1)`;
      return docker("exec", container, "mongosh", "--quiet", "--port", `${port}`, "--eval", script);
    },
    addresses: (port) => ({ MONGODB_DSN: `mongodb://127.0.0.1:${port}/?replicaSet=rs0` }),
  },
  nats: {
    image: "nats:2.15.2",
    options: [],
    command: (port) => ["--port", `${port}`, "--jetstream"],
    ready: (port) => greets(port),
    addresses: (port) => ({ NATS_URL: `nats://127.0.0.1:${port}` }),
  },
};

export async function startContainer(name) {
  const { image, options, command, ready, addresses } = images[name];
  const container = `hexkit-test-${name}-${instanceName()}`;
  const release = watch("docker", ["rm", "-f", container]);
  const stop = async () => {
    await docker("rm", "-f", container).catch(() => {});
    release();
  };
  try {
    const [port] = await freePorts(1);
    const chosen = process.env[`HEXKIT_TEST_${name.toUpperCase()}_IMAGE`] ?? image;
    await docker("run", "-d", "--name", container, "-p", `127.0.0.1:${port}:${port}`, ...options, chosen, ...command(port));
    await eventually(() => ready(port, container), readyMs);
    return { addresses: addresses(port), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function docker(...args) {
  return promisify(execFile)("docker", args);
}

/** Ports that are free now. They are held until all are known, so that no two are the same. */
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export async function eventually(attempt, withinMs) {
  for (const start = Date.now(); ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() - start > withinMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

async function answers(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
}

/** A server of NATS speaks first. */
function greets(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }).once("error", reject);
    socket.once("close", () => reject(new Error(`nothing is said on port ${port}`)));
    socket.once("data", () => {
      resolve();
      socket.destroy();
    });
  });
}

function s3Addresses(prefix, port) {
  const all = { ENDPOINT: `http://127.0.0.1:${port}`, ...credentials };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [`${prefix}_${name}`, value]));
}
