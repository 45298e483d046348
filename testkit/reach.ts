import {
  type CallOptions,
  type EventSubscriberDriver,
  HexkitError,
  type ProtocolContext,
  type Registry,
  type TopicAccess,
} from "../core/index.ts";
import { insideOf, type ProtocolBeside } from "../core/inside.ts";

/** A protocol over what `binding` is bound to, or the first of `defaults` that is bound; also where the service itself does not bind that protocol. */
export async function reach<Driver, Api>(
  registry: Registry,
  operation: string,
  protocol: string,
  binding: string | undefined,
  defaults: readonly string[],
): Promise<ProtocolBeside<Driver, Api>> {
  const inside = insideOf(registry, operation);
  if (inside.isClosed) throw new HexkitError("ERR_HEXKIT_CLOSED", `${operation} after the registry closed`);
  const bound = inside.bindings.filter((each) => defaults.includes(each.protocol)).map((each) => each.binding);
  const name = binding ?? defaults.find((each) => bound.includes(each)) ?? bound[0];
  if (name === undefined || !inside.bindings.some((each) => each.binding === name)) {
    const wanted = name === undefined ? defaults.join(" or ") : JSON.stringify(name);
    const all = inside.bindings.map((each) => each.binding).join(", ") || "nothing";
    throw new HexkitError("ERR_HEXKIT_UNBOUND", `${operation}: nothing is bound as ${wanted}; bound: ${all}`);
  }
  const found = await inside.beside(name, protocol);
  if (found === undefined)
    throw new HexkitError("ERR_HEXKIT_UNSUPPORTED", `${operation}: what ${JSON.stringify(name)} is bound to has no ${protocol}`);
  return found as ProtocolBeside<Driver, Api>;
}

/** The topics of a broker, with errors mapped and everything that is asked for read to its end. */
export class Topics {
  readonly access: TopicAccess;
  readonly context: ProtocolContext;

  private constructor(access: TopicAccess, context: ProtocolContext) {
    this.access = access;
    this.context = context;
  }

  /** @throws ERR_HEXKIT_UNSUPPORTED if the plugin cannot look at topics. */
  static async of(registry: Registry, operation: string, binding: string | undefined): Promise<Topics> {
    const brokers = ["eventPublisher", "eventSubscriber"];
    const { driver, context } = await reach<EventSubscriberDriver, unknown>(registry, operation, "eventSubscriber", binding, brokers);
    if (driver.topics === undefined)
      throw context.error("ERR_HEXKIT_UNSUPPORTED", `${operation}: the plugin's eventSubscriber driver has no \`topics\``);
    return new Topics(driver.topics, context);
  }

  run<Result>(operation: string, names: readonly string[], options: CallOptions, work: () => Promise<Result>): Promise<Result> {
    const subject = `${names.length === 1 ? "topic" : "topics"} ${names.map((name) => JSON.stringify(name)).join(", ")}`;
    return this.context.call(operation, subject, options, work);
  }
}
