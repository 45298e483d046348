import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger, Registry } from "hexkit";
import { type Admin, Kafka, logLevel, Partitioners, type Producer } from "kafkajs";
import type { ScriptedKafka } from "../services/kafka.mjs";
import { startKafka } from "../services/kafka.mjs";
import { servers } from "../services/kafka.ts";
import { createTopicAs } from "../services/topics.ts";
import { countSteps, type Run, readJournal, type Sending } from "./journal.ts";
import { openService, type ProviderTimes, type Service } from "./service.ts";
import type { Message, Order, Request, Task } from "./worker.ts";

export type Figures = Readonly<Record<string, number | string>>;
export type Scale = "short" | "full";

/** One scenario of the field notes. It fails by throwing, and returns what it measured. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(stage: Stage, scale: Scale): Promise<Figures>;
}

/** Waits until `condition` holds; fails, naming `what`, when that takes longer than `ms`. */
export async function within(ms: number, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What lies in a topic, as kafkajs reads it. */
export interface StoredRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
}

/** A program of its own in a scenario. */
export class Worker {
  readonly name: string;
  readonly logs: LogLine[] = [];
  result: unknown;
  stats: Extract<Message, { kind: "stats" }> | undefined;
  ready = false;
  finished = false;
  ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  readonly #child: ReturnType<typeof fork>;
  readonly #file: string;
  #stderr = "";

  constructor(name: string, order: Order, nodeOptions: readonly string[] = []) {
    this.name = name;
    this.#file = order.journal;
    writeFileSync(this.#file, "");
    this.#child = fork(join(import.meta.dirname, "worker.ts"), [JSON.stringify(order)], {
      execArgv: ["--conditions=@hexkit/source", "--import", import.meta.resolve("tsx"), ...nodeOptions],
      env: Object.fromEntries(Object.entries(process.env).filter(([variable]) => !/^(HEXKIT_|NODE_)/.test(variable))),
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#child.on("message", (message: Message) => this.#hear(message));
    this.#child.once("close", (code, signal) => {
      this.ended = { code, signal };
    });
  }

  #hear(message: Message): void {
    if (message.kind === "ready") this.ready = true;
    else if (message.kind === "finished") this.finished = true;
    else if (message.kind === "log") this.logs.push(message);
    else if (message.kind === "result") this.result = message.result;
    else this.stats = message;
  }

  get journal(): { readonly sendings: Map<string, Sending>; readonly runs: Run[] } {
    return readJournal(this.#file, this.name);
  }

  /** How many steps of a kind its journal holds so far. */
  count(step: "sent" | "acknowledged" | "begun" | "ended"): number {
    return countSteps(this.#file, step);
  }

  say(request: Request): void {
    this.#child.send(request);
  }

  /** Its counters, asked for anew. */
  async ask(): Promise<Extract<Message, { kind: "stats" }>> {
    this.stats = undefined;
    this.say("stats");
    await this.until(30_000, "its counters", () => this.stats !== undefined);
    return this.stats as unknown as Extract<Message, { kind: "stats" }>;
  }

  /** Waits as `within`, but no longer than the program lives. */
  async until(ms: number, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await within(ms, `${this.name}: ${what}`, async () => {
      if (await condition()) return true;
      this.assertAlive();
      return false;
    });
  }

  assertAlive(): void {
    if (this.ended === undefined) return;
    const { code, signal } = this.ended;
    throw new Error(
      `${this.name} has ended with ${code ?? signal}:\n${this.logs.map(({ message }) => message).join("\n")}\n${this.#stderr}`,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for its end and says how it came. */
  async end(ms: number): Promise<string> {
    await within(ms, `the end of ${this.name}`, () => this.ended !== undefined);
    const { code, signal } = this.ended as { code: number | null; signal: NodeJS.Signals | null };
    if (code !== null && code !== 0) this.assertAlive();
    return String(code ?? signal);
  }

  async dispose(): Promise<void> {
    if (this.ended === undefined) this.kill("SIGKILL");
    await within(10_000, `the end of ${this.name}`, () => this.ended !== undefined);
  }
}

/** Everything that a scenario starts; ended with it, however it ends. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), "hexkit-faults-"));
  readonly workers: Worker[] = [];
  readonly logs: (LogLine & { readonly fields: object })[] = [];
  readonly #registries: Registry[] = [];
  readonly #producers: Producer[] = [];
  #own: ScriptedKafka | undefined;

  get brokers(): string[] {
    return this.#own === undefined ? servers.plain : (this.#own.addresses.KAFKA_BROKERS as string).split(",");
  }

  /** How a service reaches the broker. */
  provider(options: ProviderTimes = {}): Service["provider"] {
    return { plugin: "kafka", options: { brokers: this.brokers, ...options } };
  }

  /** A broker that may be killed. */
  async ownBroker(): Promise<Pick<ScriptedKafka, "kill" | "restart">> {
    this.#own ??= await startKafka({ container: false });
    return this.#own;
  }

  /** A publisher or consumer that has opened its service. */
  async worker(name: string, task: Task): Promise<Worker> {
    const worker = this.start(name, task);
    await worker.until(60_000, "being ready", () => worker.ready);
    return worker;
  }

  start(name: string, task: Task, nodeOptions?: readonly string[]): Worker {
    const worker = new Worker(name, { ...task, journal: join(this.folder, `${name}.journal`) }, nodeOptions);
    this.workers.push(worker);
    return worker;
  }

  /** A service in this process, whose log lines are kept in `logs`. */
  async open(service: Service): Promise<Registry> {
    const at = (level: string) => (fields: object, message: string) => void this.logs.push({ level, fields, message });
    const logger: Logger = { debug() {}, info: at("info"), warn: at("warn"), error: at("error") };
    const registry = await openService(service, logger);
    this.#registries.push(registry);
    return registry;
  }

  /** All runs of handlers in workers. */
  runs(): Run[] {
    return this.workers.flatMap((worker) => worker.journal.runs);
  }

  kafka(): Kafka {
    return new Kafka({ clientId: "observer", brokers: this.brokers, logLevel: logLevel.NOTHING });
  }

  async createTopic(topic: string, partitions: number): Promise<void> {
    await this.#administer((admin) => createTopicAs(admin, topic, partitions));
  }

  /** The next offset of each partition that the group will read; 0 where it has none. */
  async committed(group: string, topic: string): Promise<Map<number, number>> {
    const [found] = await this.#administer((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
    return new Map(found?.partitions.map(({ partition, offset }) => [partition, Math.max(0, Number(offset))]));
  }

  /** The end of each partition. */
  async ends(topic: string): Promise<Map<number, number>> {
    const found = await this.#administer(async (admin) => {
      const known = (await admin.listTopics()).includes(topic);
      return known ? admin.fetchTopicOffsets(topic) : [];
    });
    return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]));
  }

  /** Ids of the members that the broker knows in a group: a member that is thrown out comes back with another. */
  async members(group: string): Promise<string[]> {
    const { groups } = await this.#administer((admin) => admin.describeGroups([group]));
    return groups[0]?.members.map(({ memberId }) => memberId) ?? [];
  }

  async #administer<Result>(work: (admin: Admin) => Promise<Result>): Promise<Result> {
    const admin = this.kafka().admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** A producer for records that no publisher of ours would write. */
  async writer(): Promise<Producer> {
    const producer = this.kafka().producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    this.#producers.push(producer);
    return producer;
  }

  /** Every record of a topic, by partition and offset. */
  async read(topic: string): Promise<StoredRecord[]> {
    const ends = await this.ends(topic);
    const left = new Map([...ends].filter(([, end]) => end > 0));
    const records: StoredRecord[] = [];
    if (left.size === 0) return records;
    const consumer = this.kafka().consumer({ groupId: `observer-${randomUUID()}`, maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message: { offset, key, value, headers = {} } }) => {
        const texts = Object.entries(headers).map(([name, content]) => [name, [content].flat().map(String).at(-1) ?? ""] as const);
        records.push({ partition, offset: Number(offset), key, value, headers: Object.fromEntries(texts) });
        if (Number(offset) + 1 >= (left.get(partition) ?? 0)) left.delete(partition);
      },
    });
    try {
      await within(60_000, `all records of ${topic}`, () => left.size === 0);
    } finally {
      await consumer.disconnect();
    }
    return records;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = await Promise.allSettled([
      ...this.#registries.map((registry) => registry.close({ timeoutMs: 5_000 })),
      ...this.workers.map((worker) => worker.dispose()),
      ...this.#producers.map((producer) => producer.disconnect()),
    ]);
    await this.#own?.stop();
    rmSync(this.folder, { recursive: true, force: true });
    for (const each of ended.slice(this.#registries.length)) if (each.status === "rejected") throw each.reason;
  }
}

export function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

export function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
