import type { HexkitError } from "../../errors.ts";
import { isAscii } from "../event-publisher/encode.ts";
import { type BindingFacts, defineProtocol, type ProtocolContext } from "../index.ts";
import { deadLetterRoutes } from "./dead-letter-reader.ts";
import { DeadLetters, deadLetterTopic, retryTopicOf } from "./dead-letters.ts";
import type { EventSubscriberDriver } from "./driver.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import type { AnyTranslator, DeadLetterHandler, EventSubscriber, Subscription } from "./event-subscriber.ts";
import { OpenWork } from "./open-work.ts";
import { type SubscriberSettings, subscriberSettings } from "./settings.ts";
import { combine } from "./translator.ts";

export const eventSubscriberProtocol = defineProtocol({
  name: "eventSubscriber",
  id: "hexkit/eventSubscriber",
  version: 1,
  summary: "Consumes events of topics as a member of a group.",
  settings: subscriberSettings,
  methods: { join: true },
  needsServiceName: true,
  companions: ["eventPublisher"],
  check: checkSettings,
  create: (driver, context) => new PortableEventSubscriber(driver, context),
});

function checkSettings({ deadLetter, deadLetterPublisher }: SubscriberSettings, { provides, bindings }: BindingFacts): string[] {
  const problems: string[] = [];
  if (deadLetterPublisher !== undefined && (!isPublisher(deadLetterPublisher) || !bindings.includes(deadLetterPublisher))) {
    const known = bindings.filter(isPublisher);
    problems.push(
      `deadLetterPublisher: ${JSON.stringify(deadLetterPublisher)} is not a bound eventPublisher; bound: ${known.join(", ") || "none"}`,
    );
  }
  if (deadLetter !== false && deadLetterPublisher === undefined && !provides.includes("eventPublisher")) {
    problems.push("deadLetter: the plugin has no eventPublisher to write dead letters with; bind one and name it as deadLetterPublisher");
  }
  return problems;
}

const isPublisher = (binding: string): boolean => /^eventPublisher(:|$)/.test(binding);

/** How long the writing of one dead letter may take, retries included. */
const deadLetterTimeoutMs = 30_000;

class PortableEventSubscriber implements EventSubscriber {
  readonly #driver: EventSubscriberDriver;
  readonly #context: ProtocolContext<SubscriberSettings>;
  /** All of the registry's life, the ended ones for health; at most one per group runs. */
  readonly #subscriptions = new Map<string, Engine>();
  /** By the binding that they are written through; the empty one is the provider's own publisher. */
  readonly #writers = new Map<string, DeadLetters>();
  readonly #openWork: OpenWork;

  constructor(driver: EventSubscriberDriver, context: ProtocolContext<SubscriberSettings>) {
    this.#driver = driver;
    this.#context = context;
    this.#openWork = new OpenWork(driver.topics, context);
    context.onSettle((signal) => this.#openWork.report([...this.#subscriptions.values()], signal));
    context.onClose("subscriptions", async (signal) => {
      await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.stop({ signal })));
    });
    context.onClose("publishers", async (signal) => {
      await Promise.all([...this.#writers.values()].map((writer) => writer.flush(signal)));
    });
    context.onHealth(() => {
      const subscriptions = [...this.#subscriptions.values()].map((each) => ({
        group: each.group,
        topics: each.topics,
        state: each.state,
        ...each.stats(),
      }));
      return { ok: subscriptions.every(({ state }) => state !== "failed"), subscriptions };
    });
  }

  subscribe(translators: AnyTranslator | readonly AnyTranslator[], options: Partial<SubscriberSettings> = {}): Subscription {
    const refuse = this.#refuse("subscribe");
    const list = Array.isArray(translators) ? (translators as readonly AnyTranslator[]) : [translators as AnyTranslator];
    const routes = combine(list, refuse);
    const settings = this.#settings(options, refuse);
    const { name } = this.#context.service;
    const topic = deadLetterTopic(settings.deadLetter, name);
    if (topic !== undefined && routes.topics.includes(topic)) {
      throw refuse(
        "ERR_HEXKIT_INVALID_ARGUMENT",
        `topic ${JSON.stringify(topic)} is its own dead-letter topic; read it by subscribeDeadLetters`,
      );
    }
    if (topic === retryTopicOf(name)) {
      throw refuse(
        "ERR_HEXKIT_INVALID_ARGUMENT",
        `deadLetter: ${JSON.stringify(topic)} is the retry topic, so that events would go round in circles`,
      );
    }
    if (topic !== undefined && !isAscii(topic)) {
      throw refuse("ERR_HEXKIT_NOT_ASCII", `deadLetter: topic ${JSON.stringify(topic)} has a character outside ASCII`);
    }
    const deadLetters = topic === undefined ? undefined : { topic, writer: this.#writer(settings, refuse) };
    const retryTopic = topic === undefined ? undefined : retryTopicOf(name);
    return this.#begin({ translators: list, routes, retryTopic, deadLetters }, { ...settings, group: settings.group ?? name }, refuse);
  }

  subscribeDeadLetters(handler: DeadLetterHandler, options: Partial<SubscriberSettings> = {}): Subscription {
    const refuse = this.#refuse("subscribeDeadLetters");
    if (typeof handler !== "function") throw refuse("ERR_HEXKIT_INVALID_ARGUMENT", "it takes a function");
    const settings = this.#settings(options, refuse);
    const { name } = this.#context.service;
    const topic = deadLetterTopic(settings.deadLetter || true, name) as string;
    const writer = this.#writer(settings, refuse);
    const { routes, translator } = deadLetterRoutes(topic, handler, {
      topic,
      maxRedrives: settings.maxRedrives,
      writer,
      context: this.#context,
    });
    const group = options.group ?? `${name}-dlq-reader`;
    return this.#begin(
      { translators: [translator], routes, retryTopic: undefined, deadLetters: undefined },
      { ...settings, group },
      refuse,
    );
  }

  #refuse(operation: string): (code: HexkitError["code"], fact: string) => HexkitError {
    return (code, fact) => this.#context.error(code, `${operation}: ${fact}`);
  }

  /** The settings with those of one call. */
  #settings(options: Partial<SubscriberSettings>, refuse: (code: HexkitError["code"], fact: string) => HexkitError): SubscriberSettings {
    if (this.#context.closing.aborted) throw refuse("ERR_HEXKIT_CLOSED", "the registry has closed");
    return this.#context.overlay(options);
  }

  #begin(
    what: Pick<EngineOptions, "translators" | "routes" | "retryTopic" | "deadLetters">,
    settings: EngineOptions["settings"],
    refuse: (code: HexkitError["code"], fact: string) => HexkitError,
  ): Subscription {
    const { group } = settings;
    const running = this.#subscriptions.get(group);
    if (running !== undefined && running.state !== "stopped" && running.state !== "failed") {
      throw refuse(
        "ERR_HEXKIT_SUBSCRIPTION_EXISTS",
        `group ${JSON.stringify(group)} is already subscribed; pass all translators to one subscribe, or give another group`,
      );
    }
    const subscription = new Engine({ driver: this.#driver, context: this.#context, settings, ...what });
    this.#subscriptions.set(group, subscription);
    return subscription;
  }

  #writer({ deadLetterPublisher = "" }: SubscriberSettings, refuse: (code: HexkitError["code"], fact: string) => HexkitError): DeadLetters {
    const known = this.#writers.get(deadLetterPublisher);
    if (known !== undefined) return known;
    const peer = isPublisher(deadLetterPublisher) ? this.#context.peer(deadLetterPublisher) : undefined;
    const driver = deadLetterPublisher === "" ? this.#context.companion("eventPublisher") : peer?.driver;
    if (driver === undefined) {
      const fact =
        deadLetterPublisher === ""
          ? "the plugin has no eventPublisher"
          : `${JSON.stringify(deadLetterPublisher)} is not a bound eventPublisher`;
      throw refuse(
        "ERR_HEXKIT_UNSUPPORTED",
        `dead letters cannot be written: ${fact}; bind an eventPublisher and name it as deadLetterPublisher`,
      );
    }
    const writer = new DeadLetters(driver as never, this.#context as never, peer?.context ?? this.#context, deadLetterTimeoutMs);
    this.#writers.set(deadLetterPublisher, writer);
    return writer;
  }
}
