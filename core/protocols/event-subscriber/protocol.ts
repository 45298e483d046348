import type { HexkitError } from "../../errors.ts";
import { defineProtocol, type ProtocolContext } from "../index.ts";
import type { EventSubscriberDriver } from "./driver.ts";
import { Engine } from "./engine.ts";
import type { EventSubscriber, Subscription, Translator } from "./event-subscriber.ts";
import { type SubscriberSettings, subscriberSettings } from "./settings.ts";
import { combine } from "./translator.ts";

export const eventSubscriberProtocol = defineProtocol({
  name: "eventSubscriber",
  id: "hexkit/eventSubscriber",
  version: 1,
  summary: "Consumes events of topics as a member of a group.",
  settings: subscriberSettings,
  needsServiceName: true,
  create: (driver, context) => new PortableEventSubscriber(driver, context),
});

class PortableEventSubscriber implements EventSubscriber {
  readonly #driver: EventSubscriberDriver;
  readonly #context: ProtocolContext<SubscriberSettings>;
  /** All of the registry's life, the ended ones for health; at most one per group runs. */
  readonly #subscriptions = new Map<string, Engine>();

  constructor(driver: EventSubscriberDriver, context: ProtocolContext<SubscriberSettings>) {
    this.#driver = driver;
    this.#context = context;
    context.onClose("subscriptions", async (signal) => {
      await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.stop({ signal })));
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

  subscribe(translators: Translator | readonly Translator[], options: Partial<SubscriberSettings> = {}): Subscription {
    const refuse = (code: HexkitError["code"], fact: string): HexkitError => this.#context.error(code, `subscribe: ${fact}`);
    if (this.#context.closing.aborted) throw refuse("ERR_HEXKIT_CLOSED", "the registry has closed");
    const list = Array.isArray(translators) ? (translators as readonly Translator[]) : [translators as Translator];
    const routes = combine(list, refuse);
    const settings = this.#context.overlay(options);
    const group = settings.group ?? this.#context.service.name;
    const running = this.#subscriptions.get(group);
    if (running !== undefined && running.state !== "stopped" && running.state !== "failed") {
      throw refuse(
        "ERR_HEXKIT_SUBSCRIPTION_EXISTS",
        `group ${JSON.stringify(group)} is already subscribed; pass all translators to one subscribe, or give another group`,
      );
    }
    const subscription = new Engine({
      driver: this.#driver,
      context: this.#context,
      translators: list,
      routes,
      settings: { ...settings, group },
    });
    this.#subscriptions.set(group, subscription);
    return subscription;
  }
}
