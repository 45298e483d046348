import assert from "node:assert/strict";
import { type ChildProcess, fork, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { daoTranslator, type Outbox } from "hexkit";
import { uniqueName } from "../services/kafka.ts";
import { databaseName, mongodbDsn, openMongo } from "../services/mongodb.ts";
import { bundle } from "./bundle.ts";
import { type OutboxService, openOutboxService, openThings, points, type Thing, thingSchema } from "./outbox-service.ts";
import type { WorkerMessage, WriteOrder } from "./outbox-worker.ts";
import { type Scenario, type Stage, type StoredRecord, seconds, within } from "./stage.ts";

/** One process with an outbox. */
class Writer {
  readonly written: { readonly id: string; readonly n: number }[] = [];
  isReady = false;
  isDone = false;
  hasEnded = false;
  readonly #child: ChildProcess;
  #stderr = "";

  constructor(program: string, service: OutboxService) {
    this.#child = fork(program, [JSON.stringify(service)], {
      execArgv: ["--enable-source-maps"],
      env: Object.fromEntries(Object.entries(process.env).filter(([variable]) => !/^(HEXKIT_|NODE_)/.test(variable))),
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#child.on("message", (message: WorkerMessage) => {
      if (message.kind === "ready") this.isReady = true;
      else if (message.kind === "written") this.written.push(message);
      else this.isDone = true;
    });
    this.#child.once("close", () => {
      this.hasEnded = true;
    });
  }

  async ready(): Promise<this> {
    await within(60_000, "a writer to be ready", () => {
      assert.ok(!this.hasEnded, `a writer has ended: ${this.#stderr}`);
      return this.isReady;
    });
    return this;
  }

  write(order: WriteOrder): void {
    this.#child.send(order);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async pause(ms: number): Promise<void> {
    this.signal("SIGSTOP");
    // Should this process end meanwhile, the writer must wake up to notice.
    spawn("sh", ["-c", `sleep 30; kill -CONT ${this.#child.pid}`], { detached: true, stdio: "ignore" }).unref();
    await delay(ms);
    this.signal("SIGCONT");
  }

  async ended(): Promise<void> {
    await within(60_000, "the end of a writer", () => this.hasEnded);
  }

  async dispose(): Promise<void> {
    if (!this.hasEnded) this.signal("SIGKILL");
    await this.ended();
  }
}

/** A database, a topic and a service of their own. */
async function setUp(stage: Stage, partitions = 3, leaseMs = 500) {
  const [database, topic] = [databaseName(), uniqueName()];
  await stage.createTopic(topic, partitions);
  const mongo = await openMongo(database);
  const service = (instance: string): OutboxService => ({
    name: uniqueName("service"),
    instance,
    dsn: mongodbDsn(),
    database,
    brokers: stage.brokers,
    collection: "things",
    topic,
    leaseMs,
  });
  const stored = async (): Promise<Map<string, { n: number; published: boolean }>> => {
    const documents = await mongo.client.db(database).collection("things").find().toArray();
    return new Map(
      documents.map(({ _id, n, __metadata__ }) => [
        String(_id),
        { n: n as number, published: (__metadata__ as { published: boolean }).published },
      ]),
    );
  };
  const program = await bundle(join(import.meta.dirname, "outbox-worker.ts"));
  return { topic, mongo, service, stored, program };
}

/** The sequence header as numbers that can be compared. */
const sequenceOf = ({ headers }: StoredRecord): readonly [number, number] => {
  const [fence = 0, count = 0] = (headers.sequence ?? "").split(".").map(Number);
  return [fence, count];
};
const stateOf = ({ value }: StoredRecord): Thing => JSON.parse(String(value)) as Thing;

/** Looks at every key of a topic: how often a state was sent again, and how often one came late, which its sequence must tell. */
function judgeOrder(records: readonly StoredRecord[]): {
  readonly last: Map<string, number>;
  readonly repeated: number;
  readonly late: number;
} {
  const last = new Map<string, number>();
  const latest = new Map<string, readonly [number, number]>();
  let [repeated, late] = [0, 0];
  for (const record of [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset)) {
    const { id, n } = stateOf(record);
    const [sequence, before] = [sequenceOf(record), latest.get(id)];
    // What daoTranslator passes over.
    if (before !== undefined && (sequence[0] < before[0] || (sequence[0] === before[0] && sequence[1] < before[1]))) {
      late += 1;
      continue;
    }
    const previous = last.get(id) ?? 0;
    assert.ok(n >= previous, `${id}: state ${n} came after state ${previous}, and its sequence does not tell`);
    if (n === previous) repeated += 1;
    latest.set(id, sequence);
    last.set(id, n);
  }
  return { last, repeated, late };
}

/** Everything that is stored is published, and the last event of each document is its state. */
async function assertPublished(stored: () => Promise<Map<string, { n: number; published: boolean }>>, read: () => Promise<StoredRecord[]>) {
  await within(60_000, "everything to be published", async () => [...(await stored()).values()].every(({ published }) => published));
  const records = await read();
  const [documents, order] = [await stored(), judgeOrder(records)];
  const lost = [...documents].filter(([id, { n }]) => order.last.get(id) !== n);
  assert.deepEqual(lost, [], "documents whose last event is another state");
  return { documents, records, ...order };
}

/** Processes one after the other on the same documents, each killed; then one that finishes what they left. */
async function crashes(stage: Stage, rounds: number) {
  const { topic, mongo, service, stored, program } = await setUp(stage);
  await using _ = mongo;
  const pool: Writer[] = [];
  const acknowledged = new Map<string, number>();
  const refill = (): void => {
    while (pool.length < 2) pool.push(new Writer(program, service(`w${Math.random()}`)));
  };
  try {
    for (let round = 0; round < rounds; round += 1) {
      refill();
      const writer = await (pool.shift() as Writer).ready();
      pool.push(new Writer(program, service(`w${round}`)));
      const point = points[round % points.length] as (typeof points)[number];
      // Documents that every process changes, and some of its own.
      const things = Array.from({ length: 6 }, (_unused, index) => ({
        id: index % 2 === 0 ? `shared-${index}` : `own-${round}-${index}`,
        n: round + 1,
        at: 0,
      }));
      writer.write({ things, kill: { point, passing: 1 + (round % 5) }, pauseMs: 0 });
      await within(30_000, `the end of writer ${round}`, () => writer.hasEnded || writer.isDone);
      if (!writer.hasEnded) writer.signal("SIGKILL");
      await writer.ended();
      for (const { id, n } of writer.written) acknowledged.set(id, n);
    }
  } finally {
    await Promise.all(pool.map((writer) => writer.dispose()));
  }
  await using registry = await openOutboxService(service("last"));
  await openThings(registry, service("last"));
  const { documents, records, repeated, late } = await assertPublished(stored, () => stage.read(topic));
  for (const [id, n] of acknowledged) assert.ok((documents.get(id)?.n ?? 0) >= n, `${id}: the acknowledged state ${n} is not stored`);
  return { documents: documents.size, acknowledged: acknowledged.size, events: records.length, "sent again": repeated, late };
}

export const outboxCrashes: Scenario = {
  name: "R13",
  title: "a process is killed before the write, after it, after the publish, after the flag: every committed change is published, in order",
  async run(stage, scale) {
    const rounds = Number(process.env.HEXKIT_TEST_OUTBOX_ROUNDS ?? (scale === "short" ? 12 : 1_000));
    // Side by side, in databases of their own: most of a round is the lease of a killed process, which runs out.
    const tracks = scale === "short" ? 2 : 5;
    const begin = performance.now();
    const all = await Promise.all(Array.from({ length: tracks }, () => crashes(stage, Math.ceil(rounds / tracks))));
    const sum = (name: keyof (typeof all)[number]): number => all.reduce((total, figures) => total + figures[name], 0);
    return {
      rounds: tracks * Math.ceil(rounds / tracks),
      documents: sum("documents"),
      acknowledged: sum("acknowledged"),
      events: sum("events"),
      "sent again": sum("sent again"),
      late: sum("late"),
      tookS: seconds(performance.now() - begin),
    };
  },
};

/** Two writers and two relays on the same documents, in two services of this process. */
export const outboxInterleavings: Scenario = {
  name: "R14",
  title: "two writers and a relay on the same documents: the last commit is what is stored, and what was published last",
  async run(stage, scale) {
    const writes = scale === "short" ? 500 : 10_000;
    const { topic, mongo, service, stored } = await setUp(stage);
    await using _ = mongo;
    const begin = performance.now();
    const open = (instance: string) => openOutboxService({ ...service(instance), publishWaitMs: 0 });
    const registries = [await open("1"), await open("2")];
    try {
      const boxes = await Promise.all(registries.map((registry) => openThings(registry, service("x"))));
      let n = 0;
      const write = async (box: Outbox<Thing>): Promise<void> => {
        while (n < writes) {
          n += 1;
          await box.upsert({ id: `thing-${n % 8}`, n, at: Date.now() }, { signal: AbortSignal.timeout(60_000) });
        }
      };
      // Nobody waits for events: writes, reads of the relays and marks meet in every order.
      await Promise.all(boxes.map((box) => write(box)));
      const documents = await Promise.all([...(await stored()).keys()].map((id) => boxes[0]?.getById(id)));
      await boxes[0]?.publishPending();
      await within(60_000, "everything to be published", async () => [...(await stored()).values()].every(({ published }) => published));
      const last = new Map<string, number>();
      const records = await stage.read(topic);
      for (const record of [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset))
        last.set(stateOf(record).id, stateOf(record).n);
      for (const document of documents) assert.equal(last.get(document?.id ?? ""), document?.n, `the last event of ${document?.id}`);
      return { writes, documents: documents.length, events: records.length, tookS: seconds(performance.now() - begin) };
    } finally {
      await Promise.all(registries.map((registry) => registry.close()));
    }
  },
};

export const outboxPaused: Scenario = {
  name: "R15",
  title: "a relay is paused past its lease and resumed while another has taken over: no loss, no reordering",
  async run(stage, scale) {
    const rounds = scale === "short" ? 2 : 10;
    const { topic, mongo, service, stored, program } = await setUp(stage, 3, 1_000);
    await using _ = mongo;
    const begin = performance.now();
    // Nobody waits for the other's relay: a paused one does not stop the flow.
    const writers = ["1", "2"].map((which) => new Writer(program, { ...service(which), publishWaitMs: 0 }));
    try {
      await Promise.all(writers.map((writer) => writer.ready()));
      const things = (which: number): Thing[] =>
        Array.from({ length: rounds * 300 }, (_unused, index) => ({ id: `w${which}-${index % 10}`, n: Math.floor(index / 10) + 1, at: 0 }));
      writers.forEach((writer, which) => {
        writer.write({ things: things(which), pauseMs: 2 });
      });
      for (let round = 0; round < rounds; round += 1) {
        const paused = writers[round % 2] as Writer;
        await delay(700);
        await paused.pause(2_500);
      }
      await within(120_000, "the writers to be done", () => writers.every(({ isDone, hasEnded }) => isDone && !hasEnded));
      const { documents, records, repeated, late } = await assertPublished(stored, () => stage.read(topic));
      const fences = new Set(records.map((record) => sequenceOf(record)[0])).size;
      assert.ok(fences > 1, "no other relay took over");
      assert.equal(documents.size, 20);
      return {
        pauses: rounds,
        events: records.length,
        "lease holders": fences,
        "sent again": repeated,
        late,
        tookS: seconds(performance.now() - begin),
      };
    } finally {
      await Promise.all(
        writers.map((writer) => {
          writer.signal("SIGCONT");
          return writer.dispose();
        }),
      );
    }
  },
};

/** Documents a second that the npm driver alone inserts. */
async function bareRate(collection: { insertOne(document: { n: number }): Promise<unknown> }, ms: number): Promise<number> {
  const from = performance.now();
  let count = 0;
  const write = async (): Promise<void> => {
    for (; performance.now() - from < ms; count += 1) await collection.insertOne({ n: count });
  };
  await Promise.all(Array.from({ length: 32 }, write));
  return Math.round(count / ((performance.now() - from) / 1_000));
}

/** How fast, and how late: from before the write until a subscriber has it. */
export const outboxFlow: Scenario = {
  name: "outbox flow",
  title: "a steady flow of changes is published, and seen by a subscriber, soon",
  async run(stage, scale) {
    const lasts = scale === "short" ? 3 : 15;
    // One by one, and as a service writes that has much to write.
    const flows =
      scale === "short"
        ? ([
            [100, 1],
            [400, 20],
          ] as const)
        : ([
            [250, 1],
            [1_000, 20],
          ] as const);
    const figures: Record<string, number> = {};
    const { topic, mongo, service, stored } = await setUp(stage, 3, 10_000);
    await using _ = mongo;
    let warnings = 0;
    const warn = (_fields: object, message: string): void => {
      warnings += 1;
      console.log(`outbox flow: ${message}`);
    };
    const registry = await openOutboxService({ ...service("1"), publishWaitMs: 0 }, () => {}, { debug() {}, info() {}, warn, error: warn });
    try {
      let lags: number[] = [];
      const seen = new Set<string>();
      registry.get("eventSubscriber").subscribe(
        daoTranslator({
          topic,
          schema: thingSchema,
          changed: (id, { at }) => {
            if (seen.has(id)) return;
            seen.add(id);
            lags.push(Date.now() - at);
          },
          deleted: () => {},
        }),
      );
      const box = await openThings(registry, service("1"));
      await box.insert({ id: "first", n: 0, at: Date.now() });
      await within(60_000, "the first event", () => seen.size === 1);
      // What the database does for anybody at this moment, on this machine.
      figures["bare insertOne/s, 32 at once"] = await bareRate(mongo.client.db(service("x").database).collection("bare"), lasts * 300);
      let made = 0;
      const insert = (count: number): Promise<void> => {
        const things = Array.from({ length: count }, () => {
          made += 1;
          return { id: `t${made}`, n: 1, at: Date.now() };
        });
        return box.insertMany(things);
      };
      for (const [pace, together] of flows) {
        lags = [];
        const [from, before] = [performance.now(), made];
        const running = new Set<Promise<void>>();
        while (performance.now() - from < lasts * 1_000) {
          while (made - before < ((performance.now() - from) / 1_000) * pace && running.size < 64) {
            const write: Promise<void> = insert(together).finally(() => running.delete(write));
            running.add(write);
          }
          await delay(2);
        }
        await Promise.all(running);
        await within(60_000, "all events", () => seen.size === made + 1);
        const took = (performance.now() - from) / 1_000;
        const sorted = lags.sort((a, b) => a - b);
        const what = `${pace}/s by ${together}`;
        figures[what] = Math.round((made - before) / took);
        figures[`${what}, median ms`] = sorted[Math.floor(sorted.length / 2)] as number;
        figures[`${what}, p99 ms`] = sorted[Math.floor(sorted.length * 0.99)] as number;
      }
      for (const [together, writers] of [
        [1, 32],
        [20, 8],
      ] as const) {
        const [from, before] = [performance.now(), made];
        const write = async (): Promise<void> => {
          while (performance.now() - from < lasts * 1_000) await insert(together);
        };
        await Promise.all(Array.from({ length: writers }, write));
        await within(60_000, "all events", () => seen.size === made + 1);
        figures[`at most by ${together}, events/s`] = Math.round((made - before) / ((performance.now() - from) / 1_000));
      }
      await within(60_000, "all flags", async () => [...(await stored()).values()].every(({ published }) => published));
      return { ...figures, events: made, warnings };
    } finally {
      await registry.close();
    }
  },
};
