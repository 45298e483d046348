import { setMaxListeners } from "node:events";
import { type CallSite, describeOrigin, mapError, untilAborted } from "./call.ts";
import type { Clock } from "./clock.ts";
import { type ErrorOrigin, HexkitError } from "./errors.ts";
import { contextLogger, type Logger } from "./logging.ts";
import type { ServiceIdentity } from "./names.ts";
import type { Plugin, ProviderContext } from "./plugin.ts";
import { deadline, settlesWithin } from "./promise.ts";
import type { ClosePhase } from "./protocols/index.ts";
import { factOf, type Redact } from "./redaction.ts";

/** What all providers of one registry share. */
export interface Surroundings {
  readonly service: ServiceIdentity;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly redact: Redact;
  readonly scope: object;
}

export interface ProviderSpec {
  readonly name: string;
  readonly plugin: Plugin;
  readonly options: Record<string, unknown>;
  /** The protocols that are bound to it. */
  readonly protocols: readonly string[];
  /** What each driver of a protocol must have. */
  methodsOf(protocol: string): readonly string[];
}

/** A connected provider. */
export interface Provider {
  readonly name: string;
  readonly plugin: Plugin;
  /** By protocol. */
  readonly drivers: ReadonlyMap<string, unknown>;
  /** Of any protocol, made when it is first asked for; `undefined` if the plugin does not have it. */
  driver(protocol: string): Promise<unknown>;
  /** Resolves if the backing service answers. */
  check(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Connects all providers at once, each within `timeoutMs`. If one fails, those already open are closed again. */
export async function openProviders(
  specs: readonly ProviderSpec[],
  surroundings: Surroundings,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Map<string, Provider>> {
  const outcomes = await Promise.allSettled(specs.map((spec) => openProvider(spec, surroundings, timeoutMs, signal)));
  const opened = outcomes.filter((outcome) => outcome.status === "fulfilled").map((outcome) => outcome.value);
  const failures = outcomes.filter((outcome) => outcome.status === "rejected").map((outcome) => outcome.reason as HexkitError);
  if (failures.length === 0) return new Map(opened.map((provider) => [provider.name, provider]));
  await closeAll(opened.map(clientWork), timeoutMs, surroundings.redact).catch((error) => {
    const logger = contextLogger(surroundings.logger, surroundings.redact, "hexkit.registry");
    logger.warn({ error }, "what was open did not close cleanly after another provider had failed to open");
  });
  if (signal?.aborted)
    throw new HexkitError("ERR_HEXKIT_ABORTED", "opening the registry was aborted by its signal", { cause: signal.reason });
  const [only] = failures;
  if (failures.length === 1 && only !== undefined) throw only;
  throw new HexkitError(
    "ERR_HEXKIT_OPEN_FAILED",
    `${failures.length} providers could not be opened:\n${failures.map((failure) => `- ${failure.message}`).join("\n")}`,
    { failures, redact: surroundings.redact },
  );
}

/** What closing a registry does with a provider. */
export function clientWork(provider: Provider): CloseWork {
  return { phase: "clients", subject: `provider "${provider.name}" (plugin ${provider.plugin.name})`, work: () => provider.close() };
}

async function openProvider(
  spec: ProviderSpec,
  surroundings: Surroundings,
  timeoutMs: number,
  cancel: AbortSignal | undefined,
): Promise<Provider> {
  const { plugin } = spec;
  const origin = { provider: spec.name, plugin: plugin.name };
  const life = new AbortController();
  const context: ProviderContext = {
    provider: spec.name,
    plugin: plugin.name,
    service: surroundings.service,
    logger: contextLogger(surroundings.logger, surroundings.redact, `hexkit.plugins.${plugin.name}`),
    clock: surroundings.clock,
    signal: life.signal,
    scope: surroundings.scope,
  };
  const stage: Stage = { of: "open" };
  const onLate = (): void => {
    const fact = `not connected within ${timeoutMs} ms: the plugin's ${stage.of} has not settled; is its server there? lifecycle.connectTimeoutMs allows more`;
    life.abort(new HexkitError("ERR_HEXKIT_TIMEOUT", `${describeOrigin(origin)}: ${fact}`, { origin }));
  };
  const timeout = setTimeout(onLate, timeoutMs);
  const onCancel = (): void => life.abort(cancel?.reason);
  if (cancel?.aborted) onCancel();
  cancel?.addEventListener("abort", onCancel, { once: true });

  const client = new Held(plugin);
  const connecting = connect(spec, context, client, stage);
  try {
    const drivers = await untilAborted(connecting, life.signal);
    const made = new Map<string, Promise<unknown>>([...drivers].map(([protocol, driver]) => [protocol, Promise.resolve(driver)]));
    return {
      name: spec.name,
      plugin,
      drivers,
      driver: (protocol) => {
        const driver = made.get(protocol) ?? createDriver(spec, protocol, client, context);
        made.set(protocol, driver);
        return driver;
      },
      check: async (signal) => {
        await untilAborted(Promise.resolve(plugin.check?.(client.value, signal)), signal);
      },
      close: async () => {
        life.abort();
        await client.release();
      },
    };
  } catch (error) {
    life.abort(error);
    // A plugin that ignores the signal may still connect after the timeout: it is closed whenever that is.
    connecting
      .catch(() => undefined)
      .then(() => client.release())
      .catch(() => undefined);
    await settlesWithin(client.release(), timeoutMs);
    throw openError(error, spec, origin, surroundings.redact);
  } finally {
    clearTimeout(timeout);
    cancel?.removeEventListener("abort", onCancel);
  }
}

/** What opening waits for. */
interface Stage {
  of: string;
}

async function connect(spec: ProviderSpec, context: ProviderContext, client: Held, stage: Stage): Promise<Map<string, unknown>> {
  const { plugin } = spec;
  context.signal.throwIfAborted();
  const opened = await plugin.open(spec.options, context);
  if (opened === undefined || opened === null) {
    throw invalidPlugin(spec, `\`open\` returned ${opened}: it must return the client, or an empty object where nothing is held open`);
  }
  client.hold(opened);
  context.signal.throwIfAborted();
  stage.of = "check";
  await plugin.check?.(client.value, context.signal);
  const drivers = new Map<string, unknown>();
  for (const protocol of spec.protocols) {
    stage.of = `provides.${protocol}`;
    drivers.set(protocol, await createDriver(spec, protocol, client, context));
  }
  return drivers;
}

async function createDriver(spec: ProviderSpec, protocol: string, client: Held, context: ProviderContext): Promise<unknown> {
  const create = spec.plugin.provides[protocol] as ((client: unknown, context: ProviderContext) => unknown) | undefined;
  if (create === undefined) return undefined;
  const driver = await create(client.value, context);
  if (typeof driver !== "object" || driver === null) {
    throw invalidPlugin(spec, `\`provides.${protocol}\` returned ${driver === null ? "null" : typeof driver}: it must return the driver`);
  }
  const missing = spec.methodsOf(protocol).filter((method) => typeof (driver as Record<string, unknown>)[method] !== "function");
  if (missing.length === 0) return driver;
  throw invalidPlugin(spec, `its ${protocol} driver has no method ${missing.join(", ")}: the plugin must be mended, or upgraded`);
}

function invalidPlugin({ name, plugin }: ProviderSpec, fact: string): HexkitError {
  const origin = { provider: name, plugin: plugin.name, operation: "connect" };
  return new HexkitError("ERR_HEXKIT_PLUGIN_INVALID", `${describeOrigin(origin)}: ${fact}`, { origin });
}

/** A plugin's client, closed at most once. */
class Held {
  readonly #plugin: Plugin;
  #client: { readonly value: unknown } | undefined;

  constructor(plugin: Plugin) {
    this.#plugin = plugin;
  }

  get value(): unknown {
    return this.#client?.value;
  }

  hold(client: unknown): void {
    this.#client = { value: client };
  }

  async release(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) await this.#plugin.close?.(client.value);
  }
}

function openError(error: unknown, spec: ProviderSpec, origin: ErrorOrigin, redact: Redact): HexkitError {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const needed = spec.plugin.package;
  const missing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
  if (missing && needed !== undefined && String(message).includes(`'${needed.name}'`)) {
    const text = `${describeOrigin(origin)}: needs the package ${needed.name} (${needed.range}): npm install ${needed.name}@"${needed.range}"`;
    return new HexkitError("ERR_HEXKIT_PACKAGE_MISSING", text, { cause: error, origin });
  }
  const site: CallSite = { origin, classify: spec.plugin.classify, redact, closed: new AbortController().signal };
  return mapError(site, error, "connect", "");
}

export interface CloseWork {
  readonly phase: ClosePhase;
  readonly subject: string;
  readonly work: (signal: AbortSignal) => Promise<void>;
}

const phases: readonly ClosePhase[] = ["subscriptions", "relays", "publishers", "clients"];
/** Share of the budget that is kept for the clients, so that a handler that never ends cannot leave connections open. */
const reservedForClients = 0.1;

/** Closes in phases, all within `timeoutMs`. What fails or takes too long is collected; the rest goes on. */
export async function closeAll(works: readonly CloseWork[], timeoutMs: number, redact: Redact): Promise<void> {
  const started = performance.now();
  const failures: HexkitError[] = [];
  for (const phase of phases) {
    const share = phase === "clients" ? timeoutMs : timeoutMs * (1 - reservedForClients);
    const left = Math.max(0, share - (performance.now() - started));
    const { signal, clear } = deadline(left);
    // Every work of the phase listens to it.
    setMaxListeners(0, signal);
    await Promise.all(
      works
        .filter((entry) => entry.phase === phase)
        .map(async ({ subject, work }) => {
          try {
            await untilAborted(work(signal), signal);
          } catch (error) {
            const late = signal.aborted;
            const fact = late
              ? `did not close within the ${timeoutMs} ms for closing (lifecycle.closeTimeoutMs)`
              : `did not close cleanly: ${factOf(error)}`;
            failures.push(
              new HexkitError(late ? "ERR_HEXKIT_TIMEOUT" : "ERR_HEXKIT_CLOSE_FAILED", `${subject}: ${fact}`, {
                cause: late ? undefined : error,
                redact,
              }),
            );
          }
        }),
    );
    clear();
  }
  if (failures.length > 0) {
    throw new HexkitError(
      "ERR_HEXKIT_CLOSE_FAILED",
      `closing was not clean:\n${failures.map((failure) => `- ${failure.message}`).join("\n")}`,
      { failures, redact },
    );
  }
}
