import type { ConnectionOptions } from "node:tls";
import { type EventSource, HexkitError, type ProviderContext, untilAborted } from "../../core/index.ts";
import { createWire } from "./client.ts";
import { Cluster } from "./cluster.ts";
import { Codecs } from "./codecs.ts";
import type { KafkaOptions } from "./options.ts";
import type { Address, Wire } from "./protocol.ts";
import type { Codec } from "./records.ts";

/** What the drivers of one provider share. */
export interface KafkaClient {
  readonly options: KafkaOptions;
  readonly wire: Wire;
  readonly codecs: Codecs;
  /** What published batches are compressed by. */
  readonly codec: Codec | undefined;
  /** For publishing and for questions. */
  readonly cluster: Cluster;
  /** Subscriptions that have not left; closing makes them. */
  readonly sources: Set<EventSource>;
  /** Connections of its own for a subscription, closed by its owner or with the client. */
  newCluster(clientId: string): Cluster;
  /** Resolves if a broker answers. */
  ping(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * Connects to the first broker that answers. @throws the error of the brokers if none does; ERR_HEXKIT_CONFIG_INVALID for
 * heartbeats that are too rare; ERR_HEXKIT_PACKAGE_MISSING if the package of the compression cannot be loaded.
 */
export async function connect(options: KafkaOptions, context: ProviderContext, codecs = new Codecs()): Promise<KafkaClient> {
  const { compression, connectTimeoutMs, requestTimeoutMs, sasl } = options;
  checkHeartbeats(options);
  const codec = compression === "none" ? undefined : await codecs.get(compression);
  const wire = await createWire({ tls: tlsOf(options.tls), sasl, connectTimeoutMs, requestTimeoutMs }, context.logger);
  const bootstrap = options.brokers.map(addressOf);
  const clusters = new Set<Cluster>();
  const newCluster = (clientId: string): Cluster => {
    for (const each of clusters) if (each.closed) clusters.delete(each);
    const made = new Cluster(wire, bootstrap, clientId);
    clusters.add(made);
    return made;
  };
  const cluster = newCluster(`${context.service.name}.${context.service.instance}`);
  const sources = new Set<EventSource>();
  const close = async (): Promise<void> => {
    await Promise.all([...sources].map((source) => source.leave()));
    for (const each of clusters) each.close();
  };
  const ping = (signal: AbortSignal): Promise<void> =>
    untilAborted(
      cluster.topics([], false).then(() => {}),
      signal,
    );
  try {
    await ping(context.signal);
  } catch (error) {
    await close();
    throw error;
  }
  return { options, wire, codecs, codec, cluster, sources, newCluster, ping, close };
}

/** One lost heartbeat must not cost the membership. */
function checkHeartbeats({ heartbeatIntervalMs, sessionTimeoutMs }: KafkaOptions): void {
  if (heartbeatIntervalMs <= sessionTimeoutMs / 3) return;
  const fact = `heartbeatIntervalMs ${heartbeatIntervalMs} is more than a third of sessionTimeoutMs ${sessionTimeoutMs}`;
  throw new HexkitError("ERR_HEXKIT_CONFIG_INVALID", `${fact}; set it to ${Math.floor(sessionTimeoutMs / 3)} or less`);
}

function addressOf(broker: string): Address {
  const colon = broker.lastIndexOf(":");
  return { host: broker.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(broker.slice(colon + 1)) };
}

function tlsOf(tls: KafkaOptions["tls"]): ConnectionOptions | undefined {
  if (!tls?.enabled) return undefined;
  const { ca, cert, key, keyPassphrase, serverName } = tls;
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(keyPassphrase !== undefined && { passphrase: keyPassphrase }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}
