import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspectConfig } from "hexkit";
import * as testcontainers from "testcontainers";
import { loadTestcontainers, type StartedContainer, type Testcontainers } from "../../testkit/containers/client.ts";
import { type ServerSpec, startServer } from "../../testkit/containers/server.ts";
import { kafka, minio, mongodb } from "../../testkit/containers/servers.ts";

/** What the package's own builder has gathered when it is to start, by the names of its fields. */
interface Built {
  readonly createOpts: { readonly Image: string; readonly Cmd: string[]; readonly Entrypoint?: string[] };
  readonly exposedPorts: readonly unknown[];
  readonly environment: Readonly<Record<string, string>>;
  readonly startupTimeoutMs: number;
  readonly waitStrategy: object;
}

/** The real package, but that nothing starts: what runs is a record of what is done to it. */
function stub({ failing, refusals = 0 }: { failing?: Error; refusals?: number } = {}) {
  const built: Built[] = [];
  const copied: { content: string; target: string }[] = [];
  const commands: string[][] = [];
  const stops: string[] = [];
  const started: StartedContainer = {
    getHost: () => "engine.example",
    getMappedPort: (port) => port + 30_000,
    copyContentToContainer: async (contents) => void copied.push(...contents),
    exec: async (command) => {
      commands.push(command);
      return commands.length <= refusals ? { exitCode: 1, output: "not yet" } : { exitCode: 0, output: "" };
    },
    stop: async () => void stops.push("stopped"),
  };
  class Container extends testcontainers.GenericContainer {
    override async start(): Promise<never> {
      built.push(this as unknown as Built);
      if (failing !== undefined) throw failing;
      return started as never;
    }
  }
  const library = { GenericContainer: Container, Wait: testcontainers.Wait } as unknown as Testcontainers;
  return { library, built, copied, commands, stops };
}

describe("testkit/containers", () => {
  it("starts Kafka in two steps, so that it knows at which address its clients reach it", async () => {
    const { library, built, copied, commands } = stub({ refusals: 2 });
    const server = await startServer(kafka, {}, library);
    assert.equal(built[0]?.createOpts.Image, "apache/kafka:4.3.1");
    assert.deepEqual(built[0].exposedPorts, [9092]);
    assert.deepEqual(built[0].createOpts.Entrypoint, ["bash"]);
    const [{ content, target } = { content: "", target: "" }] = copied;
    assert.match(content, /HOST:\/\/engine\.example:39092,/);
    assert.ok(built[0].createOpts.Cmd.join(" ").includes(`exec bash ${target}`), "the container goes on with the script that is copied");
    assert.equal(built[0].environment.KAFKA_ADVERTISED_LISTENERS, undefined);
    assert.match(commands[0]?.[0] ?? "", /kafka-broker-api-versions\.sh$/);
    assert.equal(commands.length, 3, "it is asked until it answers");
    assert.deepEqual(server.provider, { plugin: "kafka", options: { brokers: ["engine.example:39092"] } });
  });

  it("starts MongoDB as a replica set that takes writes before it is handed out", async () => {
    const { library, built, commands } = stub({ refusals: 1 });
    const server = await startServer(mongodb, {}, library);
    assert.equal(built[0]?.createOpts.Image, "mongo:6.0.5");
    assert.deepEqual(built[0].createOpts.Cmd, ["mongod", "--replSet", "rs0", "--bind_ip_all"]);
    assert.match(commands[1]?.join(" ") ?? "", /rs\.initiate\(.*isWritablePrimary/);
    assert.deepEqual(server.provider.options, { dsn: "mongodb://engine.example:57017/?directConnection=true", database: "test" });
  });

  it("starts MinIO and waits for its health", async () => {
    const { library, built } = stub();
    const server = await startServer(minio, { startTimeoutMs: 5_000 }, library);
    assert.equal(built[0]?.createOpts.Image, "minio/minio:RELEASE.2025-09-07T16-13-09Z");
    assert.equal(built[0].startupTimeoutMs, 5_000);
    assert.equal(built[0].environment.MINIO_ROOT_USER, server.provider.options.accessKeyId);
    assert.equal(built[0].environment.MINIO_ROOT_PASSWORD, server.provider.options.secretAccessKey);
    assert.equal((built[0].waitStrategy as { path?: string }).path, "/minio/health/ready");
    assert.equal(server.provider.options.endpoint, "http://engine.example:39000");
  });

  for (const [spec, bindings] of [
    [kafka, ["eventPublisher", "eventSubscriber:audit"]],
    [mongodb, ["dao", "migrations"]],
    [minio, ["objectStorage", "objectStorage:coldStore"]],
  ] as const satisfies readonly (readonly [ServerSpec, readonly string[]])[]) {
    it(`gives options and variables that the plugin ${spec.plugin} takes`, async () => {
      const server = await startServer(spec, {}, stub().library);
      const service = { name: "shop" };
      const protocols = Object.fromEntries(bindings.map((binding) => [binding, "server"]));
      const byProvider = await inspectConfig({ config: { service, providers: { server: server.provider }, protocols }, env: {} });
      assert.deepEqual(byProvider.problems, []);
      const byVariables = await inspectConfig({ config: { service }, env: server.bind(...bindings) });
      assert.deepEqual(byVariables.problems, []);
      const bound = byVariables.values.filter(({ pointer }) => /^\/protocols\/[^/]+\/provider$/.test(pointer));
      assert.deepEqual(
        bound.map(({ pointer, value }) => [pointer, value]).sort(),
        bindings.map((binding) => [`/protocols/${binding}/provider`, spec.plugin]).sort(),
      );
    });
  }

  it("takes another image, and stops once however often it is told to", async () => {
    const { library, built, stops } = stub();
    {
      await using server = await startServer(kafka, { image: "mirror.example/kafka:4" }, library);
      assert.equal(server.image, "mirror.example/kafka:4");
      assert.equal(built[0]?.createOpts.Image, "mirror.example/kafka:4");
      await server.stop();
    }
    assert.deepEqual(stops, ["stopped"]);
  });

  it("says what to do without a container engine, and what failed otherwise", async () => {
    const none = stub({ failing: new Error("Could not find a working container runtime strategy") });
    await assert.rejects(startServer(mongodb, {}, none.library), {
      code: "ERR_HEXKIT_UNAVAILABLE",
      message: /no container engine answers, so mongo:6\.0\.5 .*start Docker or Podman, .*DOCKER_HOST/,
    });
    const refused = stub({ failing: new Error("manifest unknown") });
    await assert.rejects(startServer(mongodb, {}, refused.library), {
      code: "ERR_HEXKIT_UNAVAILABLE",
      message: "the container of mongo:6.0.5 did not start: manifest unknown",
    });
  });

  it("stops a container whose server never answers, and says what it said", async () => {
    const { library, stops } = stub({ refusals: Number.POSITIVE_INFINITY });
    await assert.rejects(startServer(mongodb, { startTimeoutMs: 1 }, library), {
      code: "ERR_HEXKIT_TIMEOUT",
      message: "mongo:6.0.5 does not answer after 1 ms: not yet",
    });
    assert.deepEqual(stops, ["stopped"]);
  });

  it("names the package that is missing, and hides no other failure of loading it", async () => {
    const missing = Object.assign(new Error("Cannot find package 'testcontainers' imported from x"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(
      loadTestcontainers(() => Promise.reject(missing)),
      {
        code: "ERR_HEXKIT_PACKAGE_MISSING",
        message: /needs the package testcontainers \(.*\): npm install --save-dev testcontainers@"\^11/,
      },
    );
    const broken = Object.assign(new Error("Cannot find package 'dockerode' imported from x"), { code: "ERR_MODULE_NOT_FOUND" });
    await assert.rejects(
      loadTestcontainers(() => Promise.reject(broken)),
      broken,
    );
    assert.equal(typeof (await loadTestcontainers()).GenericContainer, "function");
  });
});
