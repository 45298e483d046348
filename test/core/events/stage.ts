import assert from "node:assert/strict";
import { mock } from "node:test";
import type {
  AnyTranslator,
  EventContext,
  ReceivedEvent,
  Registry,
  SubscriberSettings,
  Subscription,
  Translator,
} from "../../../core/index.ts";
import { type Deferred, deferred } from "../../../core/promise.ts";
import {
  at,
  type FakePublisherDriver,
  FakeSubscriberDriver,
  type LogLine,
  type Membership,
  openSubscriber,
  type RawParts,
  record,
  turns,
} from "./bench.ts";

/** A translator whose handlers the test ends, one by one. */
export class Handlers implements Translator {
  readonly topics: readonly string[];
  readonly types = ["made"];
  readonly begun: string[] = [];
  readonly contexts: EventContext[] = [];
  readonly #running = new Map<string, Deferred<void>>();
  /** Whether handlers end by themselves. */
  free = false;

  constructor(topics = ["orders"]) {
    this.topics = topics;
  }

  async consume(event: ReceivedEvent, context: EventContext): Promise<void> {
    const name = `${event.key}${(event.payload as { n: number }).n}`;
    this.begun.push(name);
    this.contexts.push(context);
    if (this.free) return;
    const running = deferred<void>();
    this.#running.set(name, running);
    await running.promise;
  }

  get running(): string[] {
    return [...this.#running.keys()];
  }

  /** Ends these handlers and lets whatever follows from it happen. */
  async end(...names: string[]): Promise<void> {
    for (const name of names) this.#take(name).resolve();
    await turns();
  }

  async fail(name: string, error: unknown): Promise<void> {
    this.#take(name).reject(error);
    await turns();
  }

  #take(name: string): Deferred<void> {
    const running = this.#running.get(name);
    assert.ok(running, `${name} is not running, but ${this.running}`);
    this.#running.delete(name);
    return running;
  }
}

export interface Stage extends AsyncDisposable {
  readonly driver: FakeSubscriberDriver;
  readonly registry: Registry;
  readonly subscription: Subscription;
  readonly member: Membership;
  readonly handlers: Handlers;
  readonly lines: readonly LogLine[];
  /** Delivers records of one partition, given as key and offset. */
  deliver(partition: number, records: string | readonly (readonly [key: string, offset: number, parts?: RawParts])[]): void;
}

interface Setting {
  readonly partitions?: number;
  readonly handlers?: Handlers;
  readonly translators?: AnyTranslator | readonly AnyTranslator[];
  readonly publisher?: FakePublisherDriver;
  readonly secret?: string;
}

/** A subscription that has joined, with partition 0 of topic orders (and more if asked). */
export async function stage(settings: Partial<SubscriberSettings> = {}, setting: Setting = {}): Promise<Stage> {
  const { partitions = 1, handlers = new Handlers(), translators = handlers, publisher, secret } = setting;
  const driver = new FakeSubscriberDriver();
  const service = await openSubscriber(driver, { ...(publisher && { publisher }), ...(secret && { secret }) });
  const subscription = service.api.subscribe(translators, { commitEvery: 1, ...settings });
  const member = await driver.member();
  member.sink.assigned(Array.from({ length: partitions }, (_, partition) => at("orders", partition)));
  return {
    driver,
    registry: service.registry,
    subscription,
    member,
    handlers,
    lines: service.lines,
    deliver: (partition, records) =>
      member.sink.records(
        at("orders", partition),
        (typeof records === "string" ? keysAndOffsets(records) : records).map(([key, offset, parts]) =>
          record(offset, { key, partition, ...parts }),
        ),
      ),
    [Symbol.asyncDispose]: async () => {
      await service.registry.close({ timeoutMs: 1 }).catch(() => undefined);
    },
  };
}

/** Records by the names that `Handlers` gives them: `a0 b1` are those of the keys a and b at the offsets 0 and 1. */
function keysAndOffsets(names: string): [key: string, offset: number, parts?: RawParts][] {
  return names.split(" ").map((name) => {
    const [, key = "", offset] = /^(\D+)(\d+)$/.exec(name) ?? assert.fail(`${name} is no key with an offset`);
    return [key, Number(offset)];
  });
}

/** A stage on which time goes by only when the test says so. */
export async function onStage(
  settings: Partial<SubscriberSettings>,
  setting: Setting,
  play: (all: Stage, tick: (ms: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_700_000_000_000 });
  let all: Stage | undefined;
  try {
    all = await stage(settings, setting);
    await play(all, async (ms) => {
      mock.timers.tick(ms);
      await turns();
    });
  } finally {
    mock.timers.reset();
    await all?.[Symbol.asyncDispose]();
  }
}

export const logged = (lines: readonly LogLine[], level: LogLine["level"] = "warn"): string[] =>
  lines.filter((line) => line.level === level).map(({ message }) => message);
