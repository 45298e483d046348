import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  type DeadLetter,
  daoTranslator,
  isHexkitError,
  NonRetryable,
  newCorrelationId,
  openRegistry,
  type ReceivedEvent,
  type Registry,
  type SubscriberSettings,
  type Subscription,
  type Translator,
  withCorrelationId,
} from "hexkit";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** A service of its own on a broker in memory. */
function open(subscriber: Partial<SubscriberSettings> = {}, space = randomUUID()): Promise<Registry> {
  return openRegistry({
    config: {
      service: { name: "shop", instance: "1" },
      providers: { broker: { plugin: "memory", options: { space } } },
      protocols: { eventPublisher: "broker", eventSubscriber: { provider: "broker", retryDelayMs: 1, ...subscriber } },
    },
    env: {},
    logger: silent,
  });
}

const orders = (consume: Translator["consume"]): Translator => ({ topics: ["orders"], types: ["order"], consume });
const publish = (registry: Registry, key: string, n: number, headers?: Record<string, string>): Promise<void> =>
  registry.get("eventPublisher").publish({ topic: "orders", type: "order", key, payload: { n, name: "Zoë" }, ...(headers && { headers }) });

/** Waits for `count` calls of what it returns. */
function collector<Item>(count: number): { readonly items: Item[]; readonly all: Promise<Item[]>; add(item: Item): void } {
  const items: Item[] = [];
  let done!: (items: Item[]) => void;
  const all = new Promise<Item[]>((resolve) => {
    done = resolve;
  });
  return {
    items,
    all,
    add(item) {
      items.push(item);
      if (items.length === count) done(items);
    },
  };
}

describe("retries", () => {
  it("try an event again, count attempts, and go on with its key only afterwards", async () => {
    await using registry = await open({ maxRetries: 2 });
    const seen = collector<string>(5);
    registry.get("eventSubscriber").subscribe(
      orders(({ payload }, { attempt }) => {
        const { n } = payload as { n: number };
        seen.add(`${n}/${attempt}`);
        if (n === 1 && attempt < 3) throw new Error("not yet");
      }),
    );
    await publish(registry, "a", 1);
    await publish(registry, "a", 2);
    await publish(registry, "a", 3);
    assert.deepEqual(await seen.all, ["1/1", "1/2", "1/3", "2/1", "3/1"]);
  });

  it("hold back the event's key only, also with a single handler at a time", async () => {
    await using registry = await open({ maxRetries: 1, retryDelayMs: 60_000, maxRetryDelayMs: 60_000, concurrency: 1 });
    const seen = collector<string>(3);
    const subscription = registry.get("eventSubscriber").subscribe(
      orders(({ key, payload }) => {
        seen.add(`${key}${(payload as { n: number }).n}`);
        if (key === "a") throw new Error("not yet");
      }),
    );
    await publish(registry, "a", 1);
    await publish(registry, "a", 2);
    await publish(registry, "b", 3);
    await publish(registry, "c", 4);
    assert.deepEqual((await seen.all).sort(), ["a1", "b3", "c4"]);
    await subscription.stop();
    assert.equal(subscription.stats().retried, 1);
    assert.equal(subscription.stats().handled, 2);
  });

  it("end with the failure policy, whose error says how often it was tried and keeps the cause", async () => {
    await using registry = await open({ maxRetries: 2 });
    const cause = new Error("never");
    const subscription = registry.get("eventSubscriber").subscribe(
      orders(() => {
        throw cause;
      }),
    );
    await publish(registry, "a", 1);
    await assert.rejects(
      subscription.done,
      (error) => isHexkitError(error, "ERR_HEXKIT_EVENT_FAILED") && error.cause === cause && /failed 3 times: never/.test(error.message),
    );
  });

  it("do not happen for NonRetryable errors and for payloads that do not fit", async () => {
    const attempts: number[] = [];
    for (const failing of [
      orders((_, { attempt }) => {
        attempts.push(attempt);
        throw new NonRetryable("no use");
      }),
      daoTranslator({
        topic: "orders",
        schema: { type: "object", required: ["x"] },
        changed: () => assert.fail(),
        deleted: () => assert.fail(),
      }),
    ]) {
      await using registry = await open({ maxRetries: 5, onFailure: "skip" });
      const subscription = registry.get("eventSubscriber").subscribe(failing);
      await registry.get("eventPublisher").publish({ topic: "orders", type: failing.types[0] as string, key: "k", payload: { y: 1 } });
      await registry.get("eventPublisher").publish({ topic: "orders", type: failing.types[0] as string, key: "k", payload: { y: 2 } });
      while (subscription.stats().skipped < 2) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(subscription.stats().retried, 0);
    }
    assert.deepEqual(attempts, [1, 1]);
  });

  it("give an attempt its time limit, abort its signal and try again", async () => {
    await using registry = await open({ maxRetries: 1, handlerTimeoutMs: 5 });
    const signals: AbortSignal[] = [];
    const seen = collector<number>(2);
    const subscription = registry.get("eventSubscriber").subscribe(
      orders((_, { attempt, signal }) => {
        signals.push(signal);
        seen.add(attempt);
        return attempt === 1 ? new Promise(() => undefined) : undefined;
      }),
    );
    await publish(registry, "a", 1);
    assert.deepEqual(await seen.all, [1, 2]);
    assert.ok(isHexkitError(signals[0]?.reason, "ERR_HEXKIT_TIMEOUT"));
    assert.equal(signals[1]?.aborted, false);
    await subscription.stop();
    assert.equal(subscription.stats().handled, 1);
  });

  it("are cancelled by a stop: nothing is acknowledged or dead-lettered, and the event comes again", async () => {
    const space = randomUUID();
    const first = await open({ maxRetries: 1, retryDelayMs: 60_000, maxRetryDelayMs: 60_000, deadLetter: true }, space);
    const failed = collector<number>(1);
    const subscription = first.get("eventSubscriber").subscribe(
      orders(({ payload }) => {
        failed.add((payload as { n: number }).n);
        throw new Error("not yet");
      }),
    );
    await publish(first, "a", 1);
    await failed.all;
    await subscription.stop();
    assert.deepEqual([subscription.stats().deadLettered, subscription.stats().failed], [0, 0]);
    await first.close();
    await using second = await open({}, space);
    const again = collector<unknown>(1);
    second.get("eventSubscriber").subscribe(orders(({ payload }) => again.add((payload as { n: number }).n)));
    assert.deepEqual(await again.all, [1]);
  });
});

describe("dead letters", () => {
  async function withDeadLetter(
    error: unknown,
    settings: Partial<SubscriberSettings>,
    test: (letter: DeadLetter, registry: Registry, subscription: Subscription) => Promise<void> | void,
    headers?: Record<string, string>,
  ): Promise<void> {
    await using registry = await open({ deadLetter: true, ...settings });
    const subscription = registry.get("eventSubscriber").subscribe(
      orders(() => {
        throw error;
      }),
    );
    const letters = collector<DeadLetter>(1);
    registry.get("eventSubscriber").subscribeDeadLetters((letter) => letters.add(letter));
    await withCorrelationId("0e6b1c4a-8a5f-4d0e-9a64-0f6f3a4f6a11", () => publish(registry, "k", 1, headers));
    const [letter] = await letters.all;
    await test(letter as DeadLetter, registry, subscription);
  }

  it("carry payload, key, type, correlation id and all original headers, and what happened", async () => {
    await withDeadLetter(
      new TypeError("Größe ✗ unbekannt"),
      { maxRetries: 2 },
      (letter, _, subscription) => {
        assert.deepEqual(letter.payload, { n: 1, name: "Zoë" });
        assert.deepEqual([letter.topic, letter.key, letter.type], ["shop-dlq", "k", "order"]);
        assert.deepEqual([letter.originalTopic, letter.service, letter.attempts, letter.redrives], ["orders", "shop", 3, 0]);
        assert.equal(letter.headers.correlation_id, "0e6b1c4a-8a5f-4d0e-9a64-0f6f3a4f6a11");
        assert.equal(letter.headers.tenant, "blue");
        assert.equal(letter.error.class, "TypeError");
        assert.equal(letter.error.message, "Gr\\u00f6\\u00dfe \\u2717 unbekannt");
        assert.match(letter.error.stack, /failures\.test/);
        assert.notEqual(letter.eventId, letter.originalEventId);
        assert.equal(letter.firstEventId, letter.originalEventId);
        for (const name of ["failed_at", "original_timestamp"]) assert.ok(!Number.isNaN(Date.parse(letter.headers[name] as string)), name);
        for (const name of ["original_partition", "original_offset"]) assert.match(letter.headers[name] as string, /^\d+$/);
        assert.equal(letter.undecodable, undefined);
        const { failed, deadLettered, handled } = subscription.stats();
        assert.deepEqual([failed, deadLettered, handled], [1, 1, 0]);
      },
      { tenant: "blue" },
    );
  });

  it("record what the first attempt threw", async () => {
    await using registry = await open({ deadLetter: "lost", maxRetries: 1 });
    registry.get("eventSubscriber").subscribe(
      orders((_, { attempt }) => {
        throw new Error(`attempt ${attempt}`);
      }),
    );
    const letters = collector<DeadLetter>(1);
    registry.get("eventSubscriber").subscribeDeadLetters((letter) => letters.add(letter));
    await publish(registry, "k", 1);
    const [letter] = await letters.all;
    assert.deepEqual([letter?.topic, letter?.error.message], ["lost", "attempt 1"]);
  });

  it("send an event back to its handler as if it came from its topic, up to maxRedrives, and never forget its first id", async () => {
    await using registry = await open({ deadLetter: true, maxRedrives: 2 });
    const events: ReceivedEvent[] = [];
    registry.get("eventSubscriber").subscribe(
      orders((event) => {
        events.push(event);
        throw new Error("still");
      }),
    );
    const refused = collector<unknown>(1);
    const letters: DeadLetter[] = [];
    registry.get("eventSubscriber").subscribeDeadLetters(async (letter, { redrive }) => {
      letters.push(letter);
      await redrive().catch((error) => refused.add(error));
    });
    await publish(registry, "k", 1, { tenant: "blue" });
    const [error] = await refused.all;
    assert.ok(isHexkitError(error, "ERR_HEXKIT_REDRIVE_LIMIT"));
    assert.deepEqual(
      letters.map(({ attempts, redrives }) => [attempts, redrives]),
      [
        [1, 0],
        [2, 1],
        [3, 2],
      ],
    );
    assert.equal(new Set(letters.map(({ firstEventId }) => firstEventId)).size, 1);
    assert.equal(letters[0]?.firstEventId, events[0]?.eventId);
    assert.deepEqual([...new Set(events.map(({ topic }) => topic))], ["orders"]);
    for (const { headers } of events.slice(1)) {
      assert.equal(headers.tenant, "blue");
      for (const name of ["exc_class", "exc_msg", "exc_stack", "service", "original_topic", "failed_at"])
        assert.equal(headers[name], undefined, name);
    }
    assert.equal(new Set(events.map(({ eventId }) => eventId)).size, 3);
  });

  it("may be mended on the way back", async () => {
    await using registry = await open({ deadLetter: true });
    const seen = collector<unknown>(2);
    registry.get("eventSubscriber").subscribe(
      orders(({ payload }) => {
        seen.add(payload);
        if ((payload as { n: number }).n === 1) throw new Error("one is wrong");
      }),
    );
    registry.get("eventSubscriber").subscribeDeadLetters((_, { redrive }) => redrive({ payload: { n: 2 } }));
    await publish(registry, "k", 1);
    assert.deepEqual(await seen.all, [{ n: 1, name: "Zoë" }, { n: 2 }]);
  });

  it("are refused before anything connects without a publisher to write them", async () => {
    await assert.rejects(open({ deadLetter: true, deadLetterPublisher: "eventPublisher:other" }), (error) => {
      assert.ok(isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID"));
      return /deadLetterPublisher: "eventPublisher:other" is not a bound eventPublisher; bound: eventPublisher/.test(error.message);
    });
  });

  it("cannot be read by the subscription that writes them", async () => {
    await using registry = await open({ deadLetter: "orders" });
    assert.throws(
      () => registry.get("eventSubscriber").subscribe(orders(() => undefined)),
      (error) => isHexkitError(error, "ERR_HEXKIT_INVALID_ARGUMENT") && /subscribeDeadLetters/.test(error.message),
    );
  });
});

describe("daoTranslator", () => {
  it("hands changed states and deletions over, with the key as id", async () => {
    await using registry = await open();
    const seen = collector<unknown>(2);
    registry.get("eventSubscriber").subscribe(
      daoTranslator({
        topic: "users",
        schema: { type: "object", required: ["name"], properties: { name: { type: "string" } } } as const,
        changed: (id, { name }) => seen.add([id, name]),
        deleted: (id) => seen.add([id]),
      }),
    );
    const publisher = registry.get("eventPublisher");
    await publisher.publish({ topic: "users", type: "upserted", key: "7", payload: { name: "Ann" } });
    await publisher.publish({ topic: "users", type: "deleted", key: "7", payload: {} });
    assert.deepEqual(await seen.all, [["7", "Ann"], ["7"]]);
  });

  it("clashes with whatever else claims its types, in any order", async () => {
    await using registry = await open();
    const dao = daoTranslator({ topic: "orders", schema: {}, changed: () => undefined, deleted: () => undefined });
    const other: Translator = { topics: ["orders"], types: ["deleted"], consume: () => undefined };
    for (const pair of [
      [dao, other],
      [other, dao],
      [dao, { ...dao }],
    ]) {
      assert.throws(
        () => registry.get("eventSubscriber").subscribe(pair),
        (error) => isHexkitError(error, "ERR_HEXKIT_TRANSLATOR_CLASH"),
      );
    }
  });
});

describe("batches", () => {
  it("take what is there at once, in order per key, and settle each event by its outcome", async () => {
    await using registry = await open({ maxRetries: 1, maxBatch: 4, concurrency: 1 });
    for (const [key, n] of [
      ["a", 1],
      ["a", 2],
      ["b", 3],
      ["a", 4],
      ["b", 5],
      ["c", 6],
    ] as const)
      await publish(registry, key, n);
    const handled: number[] = [];
    const batches: number[][] = [];
    let failedOnce = false;
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: ["orders"],
      types: ["order"],
      consumeBatch: (events, { attempts }) => {
        const numbers = events.map(({ payload }) => (payload as { n: number }).n);
        batches.push(numbers);
        return events.map(({ key }, index) => {
          const n = numbers[index] as number;
          if (n === 1 && !failedOnce) {
            failedOnce = true;
            return { error: new Error("not yet") };
          }
          if (n === 1) assert.equal(attempts[index], 2);
          handled.push(n);
          void key;
          return undefined;
        });
      },
    });
    while (subscription.stats().handled < 6) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(batches.every((batch) => batch.length <= 4));
    assert.ok(batches.some((batch) => batch.length > 1));
    const last = (n: number): number => handled.lastIndexOf(n);
    assert.ok(last(1) < last(2) && last(2) < last(4), `order of key a: ${handled}`);
    assert.ok(last(3) < last(5), `order of key b: ${handled}`);
    assert.equal(subscription.stats().retried, 1);
  });

  it("fail as a whole by a throw or a wrong number of outcomes", async () => {
    for (const result of [() => assert.fail("all of it"), () => []]) {
      await using registry = await open({ onFailure: "skip" });
      const subscription = registry.get("eventSubscriber").subscribe({ topics: ["orders"], types: ["order"], consumeBatch: result });
      await publish(registry, "a", 1);
      await publish(registry, "b", 2);
      while (subscription.stats().skipped < 2) await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it("dead-letter what failed for good and keep the rest", async () => {
    await using registry = await open({ deadLetter: true });
    const letters = collector<DeadLetter>(1);
    registry.get("eventSubscriber").subscribeDeadLetters((letter) => letters.add(letter));
    await Promise.all([1, 2, 3].map((n) => publish(registry, newCorrelationId(), n)));
    const subscription = registry.get("eventSubscriber").subscribe({
      topics: ["orders"],
      types: ["order"],
      consumeBatch: (events) => events.map(({ payload }) => ((payload as { n: number }).n === 2 ? { error: new Error("two") } : undefined)),
    });
    assert.deepEqual(
      (await letters.all).map(({ payload }) => (payload as { n: number }).n),
      [2],
    );
    while (subscription.stats().handled < 2) await new Promise((resolve) => setImmediate(resolve));
  });
});
