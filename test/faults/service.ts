import { type Logger, openRegistry, type Registry, type SubscriberSettings } from "hexkit";
import nats from "../../examples/nats-jetstream/index.ts";
import type { NatsOptions } from "../../examples/nats-jetstream/options.ts";
import type { KafkaOptions } from "../../plugins/kafka/options.ts";

/** What a scenario sets of the broker, whatever it is. */
export type ProviderTimes = Partial<Pick<KafkaOptions & NatsOptions, "requestTimeoutMs" | "sessionTimeoutMs">>;

/** A service on a broker, as a configuration would describe it. */
export interface Service {
  readonly name: string;
  readonly instance?: string;
  readonly provider:
    | { readonly plugin: "kafka"; readonly options: Partial<KafkaOptions> & Pick<KafkaOptions, "brokers"> }
    | { readonly plugin: "nats"; readonly options: Partial<NatsOptions> & Pick<NatsOptions, "servers"> };
  readonly subscriber?: Partial<SubscriberSettings>;
  readonly deliveryTimeoutMs?: number;
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export function openService(
  { name, instance = "1", provider, subscriber, deliveryTimeoutMs }: Service,
  logger = silent,
): Promise<Registry> {
  const { plugin, options } = provider;
  return openRegistry({
    config: {
      service: { name, instance },
      lifecycle: { connectTimeoutMs: 30_000 },
      providers: { events: { plugin, options: { heartbeatIntervalMs: 300, sessionTimeoutMs: 6_000, ...options } } },
      protocols: {
        eventPublisher: { provider: "events", ...(deliveryTimeoutMs !== undefined && { deliveryTimeoutMs }) },
        eventSubscriber: { provider: "events", ...subscriber },
      },
    },
    env: {},
    logger,
    plugins: [nats],
  });
}
