import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { isHexkitError } from "hexkit";
import { chaos } from "hexkit/testkit";
import plugin from "../../examples/nats-jetstream/index.ts";
import { event, natsUrl, openQueue as open, uniqueName, until } from "./nats.ts";
import { startServer } from "./server.mjs";

type Options = Parameters<typeof open>[0];

const here = (): Options => ({ servers: [natsUrl()] });

describe("the NATS plugin on a server", () => {
  let connection: NatsConnection;
  let manager: JetStreamManager;
  before(async () => {
    connection = await connect({ servers: natsUrl() });
    manager = await jetstreamManager(connection);
  });
  after(() => connection?.close());
  const addTopic = (topic: string, partitions: number, more: object = {}) =>
    manager.streams.add({
      name: `hexkit_topic_${topic}`,
      subjects: Array.from({ length: partitions }, (_, partition) => `hexkit.topic.${topic}.${partition}`),
      ...more,
    });
  const stored = async (topic: string): Promise<number> => (await manager.streams.info(`hexkit_topic_${topic}`)).state.messages;

  it("makes missing topics, with the partitions and replicas of its options", async () => {
    const topic = `${uniqueName()}.with a name`;
    await using registry = await open({ ...here(), partitions: 3 });
    await registry.get("eventPublisher").publish(event(topic));
    const { config } = await manager.streams.info(`hexkit_topic_${topic.replace(".", "=2E").replaceAll(" ", "=20")}`);
    assert.equal(config.subjects.length, 3);
    assert.equal(config.num_replicas, 1);
  });

  it("refuses to publish to a missing topic where it may make none, and says how to make it", async () => {
    const topic = uniqueName();
    await using registry = await open({ ...here(), autoCreateTopics: false });
    await assert.rejects(registry.get("eventPublisher").publish(event(topic)), (error: Error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_TOPIC_NOT_FOUND"), inspect(error));
      assert.ok(error.message.includes(`nats stream add hexkit_topic_${topic} --subjects=hexkit.topic.${topic}.0`), error.message);
      return true;
    });
  });

  it("waits for a missing topic, says so, and reads it from its beginning, also with `latest`", async () => {
    const topic = uniqueName();
    await using registry = await open({ ...here(), autoCreateTopics: false });
    const handled: string[] = [];
    const subscription = registry
      .get("eventSubscriber")
      .subscribe({ topics: [topic], types: ["tested"], consume: ({ key }) => void handled.push(key) }, { from: "latest" });
    await until("the trouble", () => subscription.stats().trouble?.includes(`topic ${topic}: does not exist`) === true);
    await until("it to have joined", () => subscription.state === "degraded");
    await addTopic(topic, 2);
    await registry.get("eventPublisher").publish(event(topic, "first"));
    await until("the event", () => handled.length === 1);
    await until("the end of the trouble", () => subscription.state === "running");
  });

  it("refuses a stream that has other subjects than one for each partition", async () => {
    const topic = uniqueName();
    await manager.streams.add({ name: `hexkit_topic_${topic}`, subjects: [`hexkit.topic.${topic}.*`] });
    await using registry = await open(here());
    await assert.rejects(registry.get("eventPublisher").publish(event(topic)), { code: "ERR_HEXKIT_CONFIG_INVALID" });
  });

  it("notices new partitions of a topic", async () => {
    const topic = uniqueName();
    await addTopic(topic, 1);
    await using registry = await open(here());
    const subscription = registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: () => {} });
    await until("it to run", () => subscription.state === "running");
    const subjects = [0, 1].map((partition) => `hexkit.topic.${topic}.${partition}`);
    await manager.streams.update(`hexkit_topic_${topic}`, { subjects });
    await jetstream(connection).publish(subjects[1] as string, "{}");
    await until("a message of the new one", () => subscription.stats().received === 1);
  });

  it("stores an event once though the answer to its first sending was lost", async () => {
    const { plugin: faulty, plan } = chaos(plugin);
    const topic = uniqueName();
    await using registry = await open(here(), { plugins: [faulty] });
    const fault = plan.loseAnswer("eventPublisher.send", { next: 3 });
    await registry.get("eventPublisher").publish(event(topic));
    assert.equal(fault.hits, 3);
    assert.equal(await stored(topic), 1);
  });

  it("stores an event twice that is published twice, also with one id", async () => {
    const topic = uniqueName();
    const eventId = randomUUID();
    await using registry = await open(here());
    for (const _ of [1, 2]) await registry.get("eventPublisher").publish({ ...event(topic), eventId });
    assert.equal(await stored(topic), 2);
  });

  it("refuses what is too large for a stream, and what waits behind it with the same key, and nothing else", async () => {
    const topic = uniqueName();
    await addTopic(topic, 1, { max_msg_size: 2_000 });
    await using registry = await open(here());
    // Enough that some share the lane of the large one.
    const others = 300;
    const large = { ...event(topic, "large"), payload: { text: "x".repeat(3_000) } };
    const publisher = registry.get("eventPublisher");
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: others }, (_, n) => publisher.publish(event(topic, `key-${n}`))),
      publisher.publish(large),
      publisher.publish(event(topic, "large")),
    ]);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === "fulfilled" ? "stored" : (outcome.reason as { code: string }).code)),
      [...Array<string>(others).fill("stored"), "ERR_HEXKIT_MESSAGE_TOO_LARGE", "ERR_HEXKIT_EVENT_ORDER"],
    );
    assert.equal(await stored(topic), others);
  });

  it("carries headers that NATS cannot, and keeps the server from obeying them", async () => {
    const topic = uniqueName();
    const headers = { stack: "Error\n\tat x", percent: "100%", " padded ": " both ends ", "Nats-Rollup": "all", "Nats-Msg-Id": "mine" };
    await using registry = await open(here());
    for (const n of [1, 2]) await registry.get("eventPublisher").publish({ ...event(topic, "k", n), headers });
    assert.equal(await stored(topic), 2);
    const seen: object[] = [];
    registry
      .get("eventSubscriber")
      .subscribe({ topics: [topic], types: ["tested"], consume: (each) => void seen.push({ ...each.headers }) });
    await until("both", () => seen.length === 2);
    for (const each of seen)
      for (const [name, text] of Object.entries(headers)) assert.equal((each as Record<string, string>)[name], text, name);
  });

  it("moves no position that another member has taken over, and goes on from that", async () => {
    const [topic, name] = [uniqueName(), uniqueName()];
    await addTopic(topic, 1);
    await using registry = await open(here(), { name });
    const subject = `hexkit.group.${name}.position.${topic}.0`;
    const position = async () => {
      const found = await manager.streams.getMessage("hexkit_groups", { last_by_subj: subject });
      return found?.json<{ next: number; owner: string }>();
    };
    const handled: number[] = [];
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: [topic],
      types: ["tested"],
      consume: ({ payload }) => void handled.push((payload as { n: number }).n),
    });
    await registry.get("eventPublisher").publish(event(topic, "k", 1));
    await until("the first position", async () => (await position())?.next === 2);
    await jetstream(connection).publish(subject, JSON.stringify({ next: 2, owner: "a stranger" }));
    await registry.get("eventPublisher").publish(event(topic, "k", 2));
    await until("the second event, again", () => handled.filter((n) => n === 2).length === 2);
    await until("the second position", async () => (await position())?.next === 3);
    assert.notEqual((await position())?.owner, "a stranger");
    assert.equal(subscription.stats().restarts, 0);
    assert.deepEqual(handled, [1, 2, 2]);
  });

  it("begins anew in a stream that was deleted and made anew", async () => {
    const [topic, name] = [uniqueName(), uniqueName()];
    const consume = async (count: number): Promise<void> => {
      await using registry = await open(here(), { name });
      const subscription = registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: () => {} });
      await until(`${count} events`, () => subscription.stats().handled === count);
      await subscription.stop();
    };
    await using registry = await open({ ...here(), partitions: 1 });
    for (const n of [1, 2, 3]) await registry.get("eventPublisher").publish(event(topic, "k", n));
    await consume(3);
    await manager.streams.delete(`hexkit_topic_${topic}`);
    await addTopic(topic, 1);
    await registry.get("eventPublisher").publish(event(topic));
    await consume(1);
  });

  it("leaves nothing behind on the server but positions and an empty group", async () => {
    const [topic, name] = [uniqueName(), uniqueName()];
    await addTopic(topic, 4);
    const registry = await open(here(), { name });
    const subscription = registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: () => {} });
    await registry.get("eventPublisher").publish(event(topic));
    await until("the event", () => subscription.stats().handled === 1);
    await registry.close();
    assert.deepEqual(await manager.consumers.list(`hexkit_topic_${topic}`).next(), []);
    const group = await manager.streams.getMessage("hexkit_groups", { last_by_subj: `hexkit.group.${name}.members` });
    assert.deepEqual(group?.json(), { topics: { [topic]: 4 }, members: {}, owners: {} });
    const { state } = await manager.streams.info("hexkit_groups", { subjects_filter: `hexkit.group.${name}.beat.>` });
    assert.deepEqual(state.subjects ?? {}, {});
  });
});

describe("the NATS plugin and a server that refuses", () => {
  const folder = mkdtempSync(join(tmpdir(), "hexkit-nats-"));
  after(() => rmSync(folder, { recursive: true }));

  async function serverWith(config: string, settings: Record<string, string> = {}) {
    const file = join(folder, `${randomUUID()}.conf`);
    writeFileSync(file, config);
    const server = await startServer("nats", { NATS_CONFIG: file, ...settings });
    return { servers: [server.addresses.NATS_URL as string], [Symbol.asyncDispose]: () => server.stop() };
  }

  async function isRefused(options: Options, code: string, secret: string): Promise<Error> {
    const error = await open(options).then(
      async (registry) => {
        await registry.close();
        assert.fail("it opened");
      },
      (cause: unknown) => cause as Error,
    );
    assert.ok(isHexkitError(error, code as "ERR_HEXKIT_OPEN_FAILED"), inspect(error));
    assert.ok(!inspect(error, { depth: 10 }).includes(secret), "the secret is in the error");
    return error;
  }

  it("is told apart: wrong password, unknown user, none at all", async () => {
    await using server = await serverWith(`authorization { users: [{ user: ann, password: "right" }] }`);
    const { servers } = server;
    for (const login of [{ user: "ann", password: "canary-1" }, { user: "bob", password: "canary-1" }, {}])
      await isRefused({ servers, ...login }, "ERR_HEXKIT_AUTHENTICATION_FAILED", "canary-1");
    await (await open({ servers, user: "ann", password: "right" })).close();
  });

  it("is told apart: a wrong token", async () => {
    await using server = await serverWith(`authorization { token: "right" }`);
    await isRefused({ servers: server.servers, token: "canary-2" }, "ERR_HEXKIT_AUTHENTICATION_FAILED", "canary-2");
    await (await open({ servers: server.servers, token: "right" })).close();
  });

  it("is told apart: no JetStream, with the way out", async () => {
    await using server = await serverWith("", { NATS_JETSTREAM: "0" });
    const error = await isRefused({ servers: server.servers }, "ERR_HEXKIT_UNSUPPORTED", "canary");
    assert.match(error.message, /--jetstream/);
  });

  it("is told apart: what a user may not publish, and what a member of a group may not", async () => {
    await using server = await serverWith(`authorization { users: [
      { user: ann, password: p, permissions: { publish: { deny: ["hexkit.topic.>", "hexkit.group.>"] } } }
    ] }`);
    await using registry = await open({ servers: server.servers, user: "ann", password: "p" });
    const topic = uniqueName();
    await assert.rejects(registry.get("eventPublisher").publish(event(topic)), { code: "ERR_HEXKIT_PERMISSION_DENIED" });
    const subscription = registry.get("eventSubscriber").subscribe({ topics: [topic], types: ["tested"], consume: () => {} });
    await assert.rejects(subscription.done, { code: "ERR_HEXKIT_PERMISSION_DENIED" });
  });

  it("is trusted by its certificate, or not at all", async () => {
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject, "-keyout", key, "-out", cert], {
      stdio: "ignore",
    });
    await using server = await serverWith(`tls { cert_file: "${cert}", key_file: "${key}" }`);
    const { servers } = server;
    await using registry = await open({ servers, tls: { ca: readFileSync(cert, "utf8") } });
    await registry.get("eventPublisher").publish(event(uniqueName()));
    await isRefused({ servers, tls: { enabled: true } }, "ERR_HEXKIT_AUTHENTICATION_FAILED", "canary");
  });
});
