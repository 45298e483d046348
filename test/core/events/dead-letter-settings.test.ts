import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definePlugin, inspectConfig, isHexkitError, openRegistry, type Plugin, type SubscriberSettings } from "../../../core/index.ts";
import { at, FakePublisherDriver, FakeSubscriberDriver, openSubscriber, record, turns } from "./bench.ts";
import { Handlers } from "./stage.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Plugins that bring what is given: `both`, `reads` without a publisher, `writes` without a subscriber. */
function brokers() {
  const subscriber = new FakeSubscriberDriver();
  const [own, other] = [FakePublisherDriver.obliging(), FakePublisherDriver.obliging()];
  const plugin = (name: string, provides: Plugin["provides"]): Plugin =>
    definePlugin({
      name,
      apiVersion: 1,
      summary: name,
      options: { type: "object", additionalProperties: false, properties: {} },
      open: () => ({}),
      provides: provides as never,
    });
  return {
    subscriber,
    own,
    other,
    plugins: [
      plugin("both", { eventSubscriber: () => subscriber, eventPublisher: () => own }),
      plugin("reads", { eventSubscriber: () => subscriber }),
      plugin("writes", { eventPublisher: () => other }),
    ],
  };
}

const sources = (protocols: object, plugins: readonly Plugin[], env: Record<string, string> = {}) => ({
  config: { service: { name: "shop", instance: "7" }, protocols },
  env,
  plugins,
  logger: silent,
});
const problemsOf = async (protocols: object, env?: Record<string, string>): Promise<string> => {
  const { plugins } = brokers();
  const { problems } = await inspectConfig(sources(protocols, plugins, env));
  return problems.map(({ place, message }) => `${place}: ${message}`).join("\n");
};

describe("deadLetter", () => {
  const ways: [
    what: string,
    protocols: object,
    env: Record<string, string>,
    options: Partial<SubscriberSettings>,
    topic: string | undefined,
  ][] = [
    ["off by default", { eventSubscriber: "both" }, {}, {}, undefined],
    ["true in the file", { eventSubscriber: { provider: "both", deadLetter: true } }, {}, {}, "shop-dlq"],
    ["a topic in the file", { eventSubscriber: { provider: "both", deadLetter: "lost" } }, {}, {}, "lost"],
    ["true in the environment", { eventSubscriber: "both" }, { HEXKIT_EVENT_SUBSCRIBER_DEAD_LETTER: "true" }, {}, "shop-dlq"],
    ["a topic in the environment", { eventSubscriber: "both" }, { HEXKIT_EVENT_SUBSCRIBER_DEAD_LETTER: "lost" }, {}, "lost"],
    [
      "false in the environment over the file",
      { eventSubscriber: { provider: "both", deadLetter: true } },
      { HEXKIT_EVENT_SUBSCRIBER_DEAD_LETTER: "false" },
      {},
      undefined,
    ],
    ["true by subscribe", { eventSubscriber: "both" }, {}, { deadLetter: true }, "shop-dlq"],
    ["false by subscribe over the file", { eventSubscriber: { provider: "both", deadLetter: true } }, {}, { deadLetter: false }, undefined],
  ];
  for (const [what, protocols, env, options, topic] of ways) {
    it(`may be ${what}`, async () => {
      const { plugins, subscriber, own } = brokers();
      await using registry = await openRegistry(sources(protocols, plugins, env));
      const handlers = new Handlers();
      handlers.consume = () => assert.fail("odd");
      const subscription = registry.get("eventSubscriber").subscribe(handlers, { onFailure: "skip", ...options });
      const member = await subscriber.member();
      assert.deepEqual(member.request.topics, topic === undefined ? ["orders"] : ["orders", "retry-shop"]);
      member.sink.assigned([at("orders")]);
      member.sink.records(at("orders"), [record(0)]);
      await turns(20);
      assert.deepEqual(
        own.sends.flatMap(({ records }) => records.map((each) => each.topic)),
        topic === undefined ? [] : [topic],
      );
      assert.equal(subscription.stats().failed, 1);
    });
  }

  it("is refused before anything connects where there is no publisher", async () => {
    const fact =
      "/protocols/eventSubscriber: deadLetter: the plugin has no eventPublisher to write dead letters with; bind one and name it as deadLetterPublisher";
    assert.equal(await problemsOf({ eventSubscriber: { provider: "reads", deadLetter: true } }), fact);
    assert.equal(await problemsOf({ eventSubscriber: "reads" }, { HEXKIT_EVENT_SUBSCRIBER_DEAD_LETTER: "lost" }), fact);
    assert.equal(await problemsOf({ eventSubscriber: "reads" }), "");
    const { plugins } = brokers();
    await assert.rejects(
      openRegistry(sources({ eventSubscriber: { provider: "reads", deadLetter: true } }, plugins)),
      (error) => isHexkitError(error, "ERR_HEXKIT_CONFIG_INVALID") && error.message.includes(fact),
    );
  });

  it("is refused as an empty text, in the file and by subscribe", async () => {
    assert.match(await problemsOf({ eventSubscriber: { provider: "both", deadLetter: "" } }), /deadLetter/);
    await using service = await openSubscriber(new FakeSubscriberDriver(), { publisher: FakePublisherDriver.obliging() });
    assert.throws(
      () => service.api.subscribe(new Handlers(), { deadLetter: "" }),
      (error) => isHexkitError(error, "ERR_HEXKIT_INVALID_ARGUMENT") && /deadLetter/.test(error.message),
    );
  });

  it("is refused by subscribe where it would go round in circles, or nowhere", async () => {
    await using service = await openSubscriber(new FakeSubscriberDriver(), { publisher: FakePublisherDriver.obliging() });
    const refused = (deadLetter: string, code: string, message: RegExp): void =>
      assert.throws(
        () => service.api.subscribe(new Handlers(), { deadLetter }),
        (error) => isHexkitError(error) && error.code === `ERR_HEXKIT_${code}` && message.test(error.message),
      );
    refused("orders", "INVALID_ARGUMENT", /subscribe: topic "orders" is its own dead-letter topic; read it by subscribeDeadLetters/);
    refused("retry-shop", "INVALID_ARGUMENT", /deadLetter: "retry-shop" is the retry topic, so that events would go round in circles/);
    refused("größe", "NOT_ASCII", /deadLetter: topic "größe" has a character outside ASCII/);
    await using without = await openSubscriber(new FakeSubscriberDriver());
    assert.throws(
      () => without.api.subscribe(new Handlers(), { deadLetter: true }),
      (error) => isHexkitError(error, "ERR_HEXKIT_UNSUPPORTED") && /subscribe: dead letters cannot be written/.test(error.message),
    );
  });
});

describe("deadLetterPublisher", () => {
  const failing = (): Handlers => {
    const handlers = new Handlers();
    handlers.consume = () => assert.fail("odd");
    return handlers;
  };

  it("writes through another binding, of another provider", async () => {
    const { plugins, subscriber, own, other } = brokers();
    const protocols = {
      eventSubscriber: { provider: "reads", deadLetter: true, deadLetterPublisher: "eventPublisher:audit" },
      "eventPublisher:audit": "writes",
    };
    await using registry = await openRegistry(sources(protocols, plugins));
    registry.get("eventSubscriber").subscribe(failing());
    const member = await subscriber.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0)]);
    await turns(20);
    assert.deepEqual([own.sends.length, other.sends.length], [0, 1]);
  });

  it("may be given to one subscribe, and wins over the own provider", async () => {
    const { plugins, subscriber, own, other } = brokers();
    await using registry = await openRegistry(sources({ eventSubscriber: "both", eventPublisher: "writes" }, plugins));
    registry.get("eventSubscriber").subscribe(failing(), { deadLetter: true, deadLetterPublisher: "eventPublisher" });
    const member = await subscriber.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0)]);
    await turns(20);
    assert.deepEqual([own.sends.length, other.sends.length], [0, 1]);
  });

  it("names in its errors the provider that failed", async () => {
    const { plugins, subscriber, other } = brokers();
    const protocols = {
      eventSubscriber: { provider: "reads", deadLetter: true, deadLetterPublisher: "eventPublisher:audit" },
      "eventPublisher:audit": "writes",
    };
    other.onSend = (send) => send.fail(new Error("broken"));
    await using registry = await openRegistry(sources(protocols, plugins));
    const subscription = registry.get("eventSubscriber").subscribe(failing());
    const member = await subscriber.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0)]);
    await assert.rejects(
      subscription.done,
      /eventPublisher "audit" \(provider "writes", plugin writes\): publish to topic "shop-dlq" failed: broken/,
    );
  });

  it("is refused when it is no bound publisher", async () => {
    const wrong = (deadLetterPublisher: string): object => ({
      eventSubscriber: { provider: "both", deadLetterPublisher },
      "eventPublisher:audit": "writes",
    });
    assert.equal(
      await problemsOf(wrong("eventPublisher:other")),
      '/protocols/eventSubscriber: deadLetterPublisher: "eventPublisher:other" is not a bound eventPublisher; bound: eventPublisher:audit',
    );
    for (const name of ["eventSubscriber", "eventPublisherX", "audit"])
      assert.match(await problemsOf(wrong(name)), /is not a bound eventPublisher/, name);
    assert.match(await problemsOf({ eventSubscriber: { provider: "both", deadLetterPublisher: "eventPublisher" } }), /bound: none/);
    const { plugins } = brokers();
    await using registry = await openRegistry(sources({ eventSubscriber: "both" }, plugins));
    for (const deadLetterPublisher of ["eventPublisher:other", "eventSubscriber"]) {
      assert.throws(
        () => registry.get("eventSubscriber").subscribe(failing(), { deadLetter: true, deadLetterPublisher }),
        (error) =>
          isHexkitError(error, "ERR_HEXKIT_UNSUPPORTED") &&
          error.message.includes(`"${deadLetterPublisher}" is not a bound eventPublisher`),
      );
    }
  });

  it("is flushed when the registry closes, after the subscriptions and before the clients", async () => {
    const { plugins, subscriber, other } = brokers();
    const protocols = {
      eventSubscriber: { provider: "reads", deadLetter: true, deadLetterPublisher: "eventPublisher" },
      eventPublisher: "writes",
    };
    other.onSend = undefined;
    const registry = await openRegistry(sources(protocols, plugins));
    registry.get("eventSubscriber").subscribe(failing());
    const member = await subscriber.member();
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0)]);
    const send = await other.next();
    const closing = registry.close();
    await turns();
    assert.equal(member.count("leave"), 0);
    send.answer();
    await closing;
    assert.deepEqual(member.calls, ["pause orders/0", "acknowledge", "leave"]);
  });
});
