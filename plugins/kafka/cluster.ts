import { classifyKafkaError, NoBrokerError } from "./errors.ts";
import type { Address, Link, Requests, Wire } from "./protocol.ts";

/** What a connection is for. A broker answers the requests of one connection one after the other, so those that wait have their own. */
export type Role = "control" | "produce" | "group" | "fetch";

export interface Topic {
  /** Leader of each partition by its number, -1 where there is none. Empty if there is an error. */
  readonly leaders: readonly number[];
  readonly error?: Error | undefined;
}

/** The brokers and the connections to them. Knows a broker once an answer has named it. */
export class Cluster {
  readonly wire: Wire;
  readonly #bootstrap: readonly Address[];
  readonly #clientId: string;
  readonly #brokers = new Map<number, Address>();
  readonly #links = new Map<string, Link>();
  #closed = false;

  constructor(wire: Wire, bootstrap: readonly Address[], clientId: string) {
    this.wire = wire;
    this.#bootstrap = bootstrap;
    this.#clientId = clientId;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Leaders by topic (`null`: of all topics), with an error for each topic that has one. With `create`, the broker may create what is missing. */
  async topics(names: readonly string[] | null, create: boolean): Promise<Map<string, Topic>> {
    const answer = await this.anyBroker("metadata", { topics: names, allowAutoTopicCreation: create });
    this.#brokers.clear();
    for (const { nodeId, host, port } of answer.brokers) this.#brokers.set(nodeId, { host, port });
    return new Map(
      answer.topicMetadata.map(({ topic, topicErrorCode, partitionMetadata }) => {
        const leaders: number[] = [];
        for (const { partitionId, leader } of partitionMetadata) leaders[partitionId] = leader;
        return [topic, { leaders: Array.from(leaders, (leader) => leader ?? -1), error: this.wire.error(topicErrorCode) }];
      }),
    );
  }

  /** Asks whichever broker answers first, in turn. @throws NoBrokerError if none does. */
  async anyBroker<Name extends keyof Requests>(name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]> {
    const addresses = new Map([...this.#brokers.values(), ...this.#bootstrap].map((address) => [keyOf(address, "control"), address]));
    // Those that are connected first: a broker that is away costs a timeout.
    const connected = (address: Address): number => (this.#links.get(keyOf(address, "control"))?.closed === false ? 0 : 1);
    const errors: unknown[] = [];
    for (const address of [...addresses.values()].sort((a, b) => connected(a) - connected(b))) {
      try {
        return await this.#link(address, "control").request(name, body);
      } catch (error) {
        if (this.#closed) throw error;
        errors.push(error);
        // Refused credentials are refused by all, and some clusters lock a user who tries too often.
        if (classifyKafkaError(error) === "ERR_HEXKIT_AUTHENTICATION_FAILED") break;
      }
    }
    throw errors.length === 1 ? errors[0] : new NoBrokerError(errors);
  }

  /** Asks one broker. @throws LEADER_NOT_AVAILABLE if the broker is unknown. */
  async broker<Name extends keyof Requests>(nodeId: number, role: Role, name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]> {
    const address = this.#brokers.get(nodeId);
    if (address === undefined) throw this.wire.error(5);
    return this.#link(address, role).request(name, body);
  }

  /** Asks the broker at an address. */
  at<Name extends keyof Requests>(address: Address, role: Role, name: Name, body: Requests[Name][0]): Promise<Requests[Name][1]> {
    return this.#link(address, role).request(name, body);
  }

  /** Closes the connections of a role, failing what is under way on them. Later requests open new ones. */
  drop(role: Role): void {
    for (const [key, link] of this.#links) {
      if (!key.endsWith(`/${role}`)) continue;
      this.#links.delete(key);
      link.close();
    }
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #link(address: Address, role: Role): Link {
    const key = keyOf(address, role);
    const known = this.#links.get(key);
    if (known !== undefined && !known.closed) return known;
    const link = this.wire.link(address, this.#clientId);
    if (this.#closed) link.close();
    else this.#links.set(key, link);
    return link;
  }
}

function keyOf({ host, port }: Address, role: Role): string {
  return `${host}:${port}/${role}`;
}
