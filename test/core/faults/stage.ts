import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { EventContext, ReceivedEvent, Registry, SourceRecord, SubscriberSettings, Subscription } from "hexkit";
import { clearMemorySpace, memoryFaults } from "hexkit/plugins/memory";
import type { Stored } from "../../../plugins/memory/log.ts";
import { namedBroker } from "../../../plugins/memory/spaces.ts";
import { Journal, type Run } from "../../faults/journal.ts";
import { assertExact, judge } from "../../faults/verdict.ts";
import { type LogLine, openService, type ServiceOptions, until } from "../../testkit/service.ts";

const topic = "things";

/** What a handler does; throwing is failure. */
export type Behaviour = (event: ReceivedEvent, context: EventContext) => unknown;

/** A broker in memory, the services on it and what they do, by journal. */
export class Stage {
  readonly space = randomUUID();
  readonly faults = memoryFaults(this.space);
  readonly journal = new Journal();
  readonly lines: LogLine[] = [];
  readonly partitions: number;
  readonly #registries: Registry[] = [];

  constructor(partitions = 3) {
    this.partitions = partitions;
    namedBroker(this.space).topic(topic, partitions);
  }

  async open(options: ServiceOptions = {}): Promise<Registry> {
    const registry = await openService({ space: this.space, partitions: this.partitions, lines: this.lines, ...options });
    this.#registries.push(registry);
    return registry;
  }

  /** One event with the next number of its key. */
  async publish(registry: Registry, key: string, n: number): Promise<void> {
    const eventId = randomUUID();
    this.journal.sent(eventId, key, n);
    await registry.get("eventPublisher").publish({ topic, type: "thing", key, payload: { n }, eventId });
    this.journal.acknowledged(eventId);
  }

  /** Publishes `count` events over `keys` keys at once. */
  async burst(registry: Registry, count: number, keys: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (_, index) => this.publish(registry, `key-${index % keys}`, Math.floor(index / keys) + 1)),
    );
  }

  /** Subscribes with a handler that is written down. */
  subscribe(registry: Registry, member = "", behaviour: Behaviour = () => {}, settings: Partial<SubscriberSettings> = {}): Subscription {
    return registry.get("eventSubscriber").subscribe(
      {
        topics: [topic],
        types: ["thing"],
        consume: async (event, context) => {
          const end = this.journal.begin(event.eventId, event.key, numberOf(event), context.attempt, member);
          try {
            await behaviour(event, context);
          } catch (error) {
            end("failed");
            throw error;
          }
          end();
        },
      },
      settings,
    );
  }

  /** Ids of the events that the group has not acknowledged: what one more member gets. */
  async remainder(name = "shop"): Promise<string[]> {
    const registry = await openService({ space: this.space, partitions: this.partitions, name, instance: "heir" });
    const ids: string[] = [];
    const subscription = registry
      .get("eventSubscriber")
      .subscribe({ topics: [topic], types: ["thing"], consume: ({ eventId }) => void ids.push(eventId) });
    await until(() => subscription.state === "running" && subscription.stats().lag === 0 && subscription.stats().inFlight === 0);
    await registry.close();
    return ids;
  }

  /** Every record of a topic, by partition and offset. */
  stored(name = topic): SourceRecord[] {
    return namedBroker(this.space)
      .topic(name, this.partitions)
      .flatMap((log) => log.read(0, log.end, { wake: () => {} }));
  }

  /** Writes a record that no publisher of ours would write. */
  write(record: {
    readonly key: Stored;
    readonly value: Stored;
    readonly headers: Readonly<Record<string, string>>;
    partition?: number;
  }): void {
    const broker = namedBroker(this.space);
    const { key, value, headers, partition = 0 } = record;
    const log = broker.topic(topic, this.partitions)[partition];
    assert.ok(log, `topic ${topic} has no partition ${partition}`);
    broker.append(log, [{ raw: { key, value, headers: Object.entries(headers) }, timestampMs: Date.now() }]);
  }

  /** Fails unless every acknowledged event was handled exactly once, in the order of its key. */
  assertPerfect(runs: readonly Run[] = this.journal.runs): void {
    const { sendings } = this.journal;
    assertExact(sendings.values(), runs);
    const { size } = sendings;
    assert.deepEqual(judge(sendings.values(), runs), { sent: size, acknowledged: size, handled: size, duplicates: 0, orderViolations: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#registries.map((registry) => registry.close({ timeoutMs: 1_000 }).catch(() => undefined)));
    clearMemorySpace(this.space);
  }
}

export function numberOf({ payload }: Pick<ReceivedEvent, "payload">): number {
  return (payload as { n: number }).n;
}

/** Numbers below `below` that are the same in every run. */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Some turns of the event loop. */
export async function pause(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A door that handlers wait at until it is opened. */
export class Door {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}
