import { type Logger, openRegistry, type Registry, type SubscriberSettings } from "hexkit";
import type { KafkaOptions } from "../../plugins/kafka/options.ts";

/** A service on a broker, as a configuration would describe it. */
export interface Service {
  readonly name: string;
  readonly instance?: string;
  readonly kafka: Partial<KafkaOptions> & Pick<KafkaOptions, "brokers">;
  readonly subscriber?: Partial<SubscriberSettings>;
  readonly deliveryTimeoutMs?: number;
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export function openService({ name, instance = "1", kafka, subscriber, deliveryTimeoutMs }: Service, logger = silent): Promise<Registry> {
  return openRegistry({
    config: {
      service: { name, instance },
      lifecycle: { connectTimeoutMs: 30_000 },
      providers: { events: { plugin: "kafka", options: { heartbeatIntervalMs: 300, sessionTimeoutMs: 6_000, ...kafka } } },
      protocols: {
        eventPublisher: { provider: "events", ...(deliveryTimeoutMs !== undefined && { deliveryTimeoutMs }) },
        eventSubscriber: { provider: "events", ...subscriber },
      },
    },
    env: {},
    logger,
  });
}
