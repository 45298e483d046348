import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { promisify } from "node:util";
import { type HexkitError, openRegistry, type ReceivedEvent, type Registry, withCorrelationId } from "../../core/index.ts";
import { Codecs } from "../../plugins/kafka/codecs.ts";
import { plugin } from "../../plugins/kafka/index.ts";
import { partitionOf } from "../../plugins/kafka/partitioner.ts";
import { createTopic, openProvider, outgoing, Reader, sendAll, servers, uniqueName, until } from "./kafka.ts";

// kcat (Debian package kcat) stands for all clients that are built on librdkafka.

const brokers = (): string[] => ["-b", servers.plain.join(",")];

async function kcat(...args: string[]): Promise<string> {
  return (await promisify(execFile)("kcat", [...brokers(), "-q", ...args])).stdout;
}

/** Writes records: lines of `key:value`, as kcat reads them. */
async function produce(topic: string, lines: readonly string[], ...args: string[]): Promise<void> {
  const child = spawn("kcat", [...brokers(), "-P", "-t", topic, ...args], { stdio: ["pipe", "inherit", "inherit"] });
  child.stdin.end(lines.map((line) => `${line}\n`).join(""));
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 0);
}

const registry = (): Promise<Registry> =>
  openRegistry({
    config: {
      service: { name: uniqueName("service"), instance: "001" },
      providers: { events: { plugin: "kafka", options: { brokers: servers.plain } } },
      protocols: { eventPublisher: "events", eventSubscriber: { provider: "events", onFailure: "skip" } },
      log: { level: "silent" },
    },
    env: {},
    plugins: [plugin],
  });

test("kcat reads what is published: ASCII JSON under an ASCII key, with the headers type, event_id and correlation_id", async () => {
  await using opened = await registry();
  const [topic, eventId, correlationId] = [uniqueName(), randomUUID(), randomUUID()];
  await createTopic(topic);
  await withCorrelationId(correlationId, () =>
    opened
      .get("eventPublisher")
      .publish({ topic, type: "greeted", key: "a key", payload: { text: "Grüße 😀" }, eventId, headers: { note: "x" } }),
  );
  const output = await kcat("-C", "-t", topic, "-e", "-f", "%k\n%s\n%h\n");
  const [key, value, headers] = output.split("\n");
  assert.equal(key, "a key");
  assert.deepEqual(JSON.parse(value as string), { text: "Grüße 😀" });
  assert.match(value as string, /^[\x20-\x7e]*$/);
  assert.equal(headers, `note=x,type=greeted,event_id=${eventId},correlation_id=${correlationId}`);
});

test("problems that kcat sends are received as events", async () => {
  await using opened = await registry();
  const [topic, correlationId] = [uniqueName(), randomUUID()];
  await createTopic(topic);
  const seen: ReceivedEvent[] = [];
  const subscription = opened.get("eventSubscriber").subscribe({
    topics: [topic],
    types: ["multiplication_problem"],
    consume: (event) => void seen.push(event),
  });
  const headers = ["-H", "type=multiplication_problem", "-H", `correlation_id=${correlationId}`];
  await produce(
    topic,
    ['m001:{"problem_id": "m001", "multiplier": 2.3, "multiplicand": 1.1}'],
    "-K:",
    ...headers,
    "-H",
    `event_id=${randomUUID()}`,
  );
  // As others may do it: no event id, compressed, and one that is no event at all.
  await produce(topic, ['m002:{"problem_id": "m002"}'], "-K:", "-z", "gzip", ...headers);
  await produce(topic, ["m003:no json"], "-K:", ...headers);
  await produce(topic, ['m004:{"problem_id": "m004"}'], "-K:", ...headers);
  await until("three events", () => seen.length === 3);
  await subscription.stop();
  assert.deepEqual(
    seen.map(({ key, payload }) => [key, (payload as { problem_id: string }).problem_id]),
    ["m001", "m002", "m004"].map((id) => [id, id]),
  );
  assert.equal(subscription.stats().failed, 1);
});

for (const codec of ["gzip", "snappy", "lz4", "zstd"] as const) {
  test(`kcat reads batches compressed by ${codec}, and what it compresses so is read`, async () => {
    await using provider = await openProvider({ compression: codec });
    const topic = uniqueName();
    await createTopic(topic);
    // Long enough that compressing pays: librdkafka leaves it otherwise.
    const [ours, theirs] = ["1".repeat(10_000), "2".repeat(10_000)];
    await sendAll(provider.publisher, [outgoing(topic, "k", ours, [["h", "x"]])]);
    assert.equal(await kcat("-C", "-t", topic, "-e", "-f", "%k %h %s\n"), `k h=x ${ours}\n`);
    await produce(topic, [`k:${theirs}`], "-K:", "-z", codec);
    const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
    await until("both records", () => reader.seen.length === 2);
    await reader.source.leave();
    assert.deepEqual(reader.values, [ours, theirs]);
  });
}

test("records compressed by a codec whose package is not installed end the source with the command that installs it", async () => {
  const missing = async (): Promise<never> => {
    throw new Error("Cannot find package");
  };
  await using provider = await openProvider({}, { codecs: new Codecs({ snappy: missing, lz4: missing, zstd: missing }, {}) });
  const topic = uniqueName();
  await createTopic(topic);
  await produce(topic, [`k:${"1".repeat(10_000)}`], "-K:", "-z", "snappy");
  const reader = await Reader.join(provider.subscriber, uniqueName("group"), [topic]);
  await until("the failure", () => reader.failures.length === 1);
  const failure = reader.failures[0] as HexkitError;
  assert.equal(failure.code, "ERR_HEXKIT_PACKAGE_MISSING");
  assert.match(failure.message, /compression snappy needs the package snappy .*: npm install snappy@/);
  assert.deepEqual(reader.values, []);
  await reader.source.leave();
});

test("librdkafka's murmur2 partitioner puts a key where the publisher puts it", async () => {
  await using provider = await openProvider();
  const topic = uniqueName();
  await createTopic(topic, 7);
  const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
  await produce(
    topic,
    keys.map((key) => `${key}:1`),
    "-K:",
    "-X",
    "topic.partitioner=murmur2_random",
  );
  const output = await kcat("-C", "-t", topic, "-e", "-f", "%p %k\n");
  const placed = output
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  assert.equal(placed.length, keys.length);
  await provider.publisher.prepare(topic, {});
  for (const [partition, key] of placed) {
    assert.equal(partitionOf(Buffer.from(key as string), 7), Number(partition), key);
    assert.equal(provider.publisher.lane(outgoing(topic, key as string, "1")), `${topic}/${partition}`);
  }
});

test("a group may mix the subscriber and librdkafka's consumer, whoever deals out the partitions", async () => {
  await using provider = await openProvider();
  for (const first of ["ours", "kcat"]) {
    const [topic, group] = [uniqueName(), uniqueName("group")];
    await createTopic(topic, 4);
    let child: ChildProcess | undefined;
    let heard = "";
    let reader: Reader | undefined;
    const joinOurs = async (): Promise<void> => {
      const joined = await Reader.join(provider.subscriber, group, [topic]);
      reader = joined;
      await until("our partitions", () => joined.held.length > 0);
    };
    const joinKcat = async (): Promise<void> => {
      const kcatArgs = ["-G", group, "-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=200", "-u", "-f", "%s\n", topic];
      child = spawn("kcat", [...brokers(), ...kcatArgs], { stdio: ["ignore", "pipe", "pipe"] });
      child.stdout?.on("data", (chunk) => {
        heard += chunk;
      });
      let said = "";
      child.stderr?.on("data", (chunk) => {
        said += chunk;
      });
      await until("kcat's partitions", () => /assigned: .*\[\d/.test(said));
    };
    try {
      if (first === "ours") await joinOurs().then(joinKcat);
      else await joinKcat().then(joinOurs);
      await until("a fair share", () => reader?.held.length === 2);
      const values = Array.from({ length: 40 }, (_, index) => String(index));
      await sendAll(
        provider.publisher,
        values.map((value) => outgoing(topic, `key-${value}`, value)),
      );
      const all = (): string[] => [...(reader?.values ?? []), ...heard.split("\n").filter(Boolean)];
      await until("every record", () => new Set(all()).size === values.length);
      assert.deepEqual(all().sort(), [...values].sort());
      assert.ok((reader?.seen.length ?? 0) > 0 && heard !== "");
    } finally {
      child?.kill();
      await reader?.source.leave();
    }
  }
});
