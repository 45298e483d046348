import type { DependencyContainer } from "tsyringe";
import type { ResolvedBinding, ResolvedConfig } from "../config/index.ts";
import { type CallSite, closedError, describeOrigin, mapError, runCall } from "./call.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type ConfigReport, type ConfigSources, type Configuration, configError, configure } from "./configuration.ts";
import { createContainer } from "./container.ts";
import { HexkitError } from "./errors.ts";
import { createHealth, type HealthReport, type HealthSource } from "./health.ts";
import { insideKey, type ProtocolBeside, type RegistryInside } from "./inside.ts";
import { type CloseWork, clientWork, closeAll, openProviders, type Provider, type Surroundings } from "./lifecycle.ts";
import { contextLogger, createPinoLogger, type Logger } from "./logging.ts";
import { bindingVariable, namePattern } from "./names.ts";
import { deferred } from "./promise.ts";
import type { Api, Binding, ProtocolContext, ProtocolDefinition, ProtocolPart, SettleProbe } from "./protocols/index.ts";
import { type ServeOptions, serveUntilSignal } from "./serve.ts";

export interface OpenOptions extends ConfigSources {
  /** Takes the log lines instead of pino; secrets are removed before it sees them, `log.level` does not apply to it. */
  readonly logger?: Logger;
  /** Cancels opening: what is open by then is closed again. */
  readonly signal?: AbortSignal;
  /** Default: the system's. */
  readonly clock?: Clock;
}

export interface CloseOptions {
  /** One budget for all of it. Default: `lifecycle.closeTimeoutMs`, 30,000. */
  readonly timeoutMs?: number;
}

/** The opened configuration: everything connected, ready to resolve bindings. */
export interface Registry extends AsyncDisposable {
  /**
   * The portable object of a binding, the same at every call. Does no I/O.
   * @throws ERR_HEXKIT_UNBOUND, ERR_HEXKIT_CLOSED
   */
  get<B extends Binding>(binding: B): Api<B>;
  has(binding: string): boolean;
  /** Resolves a service's classes; every binding's name is a token. See `hexkit/inject`. */
  readonly container: DependencyContainer;
  /** The effective configuration with the origin of each value, secrets masked. */
  readonly config: ConfigReport;
  /** Asks every provider (within `timeoutMs`, default 5,000) and collects what the bindings say of themselves. Never rejects. */
  health(options?: { readonly timeoutMs?: number }): Promise<HealthReport>;
  /**
   * Keeps the process running until SIGTERM, SIGINT or the signal given, then closes and resolves. Rejects, after
   * closing, with the cause if a subscription fails. A second signal ends the process at once.
   */
  serve(options?: ServeOptions): Promise<void>;
  /**
   * Subscriptions drain, relays stop, publishers flush, clients close. Safe twice: later calls get the first one's outcome.
   * Afterwards every call rejects with ERR_HEXKIT_CLOSED.
   * @throws ERR_HEXKIT_CLOSE_FAILED if something failed or took longer than the budget; everything else is closed even so.
   */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Opens what the configuration binds: reads files and environment, loads the plugins they name, validates all of it,
 * then connects to everything at once, each within `lifecycle.connectTimeoutMs` (default 10,000).
 * If one fails, those already open are closed again.
 * @throws ERR_HEXKIT_CONFIG_INVALID before anything connects; the code of the failing provider (such as ERR_HEXKIT_UNAVAILABLE,
 * ERR_HEXKIT_AUTHENTICATION_FAILED, ERR_HEXKIT_PACKAGE_MISSING, ERR_HEXKIT_PLUGIN_INVALID, ERR_HEXKIT_TIMEOUT), or
 * ERR_HEXKIT_OPEN_FAILED for several; ERR_HEXKIT_ABORTED.
 */
export async function openRegistry(options: OpenOptions = {}): Promise<Registry> {
  if (options.signal?.aborted)
    throw new HexkitError("ERR_HEXKIT_ABORTED", "opening the registry was aborted by its signal", { cause: options.signal.reason });
  const configuration = await configure(options);
  const { config, redact, report } = configuration;
  if (config === undefined) throw configError(report.problems, redact);
  const target = options.logger ?? createPinoLogger(config.service, config.log.level);
  const surroundings: Surroundings = { service: config.service, logger: target, clock: options.clock ?? systemClock, redact, scope: {} };
  const providers = await openProviders(
    providerSpecs(configuration, config),
    surroundings,
    config.lifecycle.connectTimeoutMs,
    options.signal,
  );
  const registry = new OpenRegistry(configuration, config, surroundings, providers);
  try {
    for (const binding of config.bindings) registry.bind(binding);
  } catch (error) {
    await registry.close().catch(() => undefined);
    throw error;
  }
  return registry;
}

function providerSpecs({ plugins, protocols: known }: Configuration, config: ResolvedConfig) {
  return config.providers.map(({ name, plugin, options }) => {
    const found = plugins.get(plugin);
    if (found === undefined) throw new Error(`provider ${name}: plugin ${plugin} was resolved but not loaded`);
    const bound = config.bindings.filter((binding) => binding.provider === name).map((binding) => binding.protocol);
    const companions = bound.flatMap((protocol) => known.get(protocol)?.companions ?? []).filter((protocol) => protocol in found.provides);
    const methodsOf = (protocol: string): string[] => Object.keys(known.get(protocol)?.methods ?? {});
    return { name, plugin: found, options, protocols: [...new Set([...bound, ...companions])], methodsOf };
  });
}

class OpenRegistry implements Registry {
  readonly config: ConfigReport;
  #container: DependencyContainer | undefined;
  readonly #configuration: Configuration;
  readonly #resolved: ResolvedConfig;
  readonly #surroundings: Surroundings;
  readonly #providers: ReadonlyMap<string, Provider>;
  readonly #apis = new Map<string, unknown>();
  readonly #parts = new Map<string, ProtocolPart>();
  readonly #works: CloseWork[] = [];
  readonly #reports: HealthSource[] = [];
  readonly #probes: { readonly binding: string; readonly probe: SettleProbe }[] = [];
  readonly #beside = new Map<string, Promise<ProtocolBeside | undefined>>();
  readonly #logger: Logger;
  /** Aborts when closing begins: nothing new is begun. */
  readonly #closing = new AbortController();
  /** Aborts when clients are about to close: what was draining has ended, and calls are no longer taken. */
  readonly #refusing = new AbortController();
  readonly #failure = deferred<unknown>();
  #closed: Promise<void> | undefined;

  constructor(
    configuration: Configuration,
    resolved: ResolvedConfig,
    surroundings: Surroundings,
    providers: ReadonlyMap<string, Provider>,
  ) {
    this.config = configuration.report;
    this.#configuration = configuration;
    this.#resolved = resolved;
    this.#surroundings = surroundings;
    this.#providers = providers;
    this.#logger = contextLogger(surroundings.logger, surroundings.redact, "hexkit.registry");
    // After the subscriptions, whose handlers may still resolve from it, and while what it made can still publish.
    this.#works.push({ phase: "relays", subject: "container", work: async () => await this.#container?.dispose() });
    // First of its phase, so that no call reaches a client that is closing.
    this.#works.push({ phase: "clients", subject: "calls", work: async () => this.#refusing.abort() });
    for (const provider of providers.values()) this.#works.push(clientWork(provider));
  }

  /** Makes the portable object of a binding. */
  bind(binding: ResolvedBinding): void {
    const protocol = this.#configuration.protocols.get(binding.protocol);
    if (protocol === undefined) throw new Error(`binding ${binding.binding}: its protocol was resolved but is not known`);
    const provider = binding.provider === undefined ? undefined : this.#providers.get(binding.provider);
    const context = this.#context(binding, protocol, provider);
    const driver = provider?.drivers.get(binding.protocol) ?? this.#partsOf(binding);
    const api = create(protocol, driver, context);
    this.#parts.set(binding.binding, { driver, context });
    this.#apis.set(binding.binding, api);
  }

  #partsOf(binding: ResolvedBinding): Record<string, ProtocolPart | undefined> {
    return Object.fromEntries(Object.entries(binding.parts ?? {}).map(([setting, part]) => [setting, this.#parts.get(part)]));
  }

  #context(binding: ResolvedBinding, protocol: ProtocolDefinition, provider: Provider | undefined): ProtocolContext {
    const { redact, service, clock, logger } = this.#surroundings;
    const origin = { binding: binding.binding, ...(provider && { provider: provider.name, plugin: provider.plugin.name }) };
    const site: CallSite = { origin, classify: provider?.plugin.classify, redact, closed: this.#refusing.signal };
    return {
      binding: binding.binding,
      system: provider?.plugin.name ?? binding.protocol,
      settings: binding.settings,
      overlay: (some) => {
        const given = Object.entries(some).filter(([, value]) => value !== undefined);
        const settings = { ...binding.settings, ...Object.fromEntries(given) };
        const problems = this.#configuration.checkSettings(protocol.settings, settings);
        if (problems.length > 0) throw ownError(site, "ERR_HEXKIT_INVALID_ARGUMENT", `settings: ${problems.join("; ")}`, undefined);
        return settings;
      },
      service,
      clock,
      redact,
      logger: contextLogger(logger, redact, `hexkit.${binding.binding}`),
      companion: (name) => (protocol.companions?.includes(name) ? provider?.drivers.get(name) : undefined) as never,
      peer: (name) => this.#parts.get(name),
      closing: this.#closing.signal,
      call: (operation, subject, options, work) => runCall(site, operation, subject, options, work),
      mapError: (error, operation, subject) => mapError(site, error, operation, subject),
      error: (code, message, cause) => ownError(site, code, message, cause),
      onClose: (phase, work) => this.#works.push({ phase, subject: binding.binding, work }),
      onHealth: (report) => this.#reports.push({ binding: binding.binding, report }),
      onSettle: (probe) => this.#probes.push({ binding: binding.binding, probe }),
      fail: (error) => this.#failure.resolve(error),
    };
  }

  /** For the test kit. */
  get [insideKey](): RegistryInside {
    return {
      bindings: this.#resolved.bindings,
      probes: this.#probes,
      isClosed: this.#closing.signal.aborted,
      beside: (binding, protocol) => {
        const key = `${binding} ${protocol}`;
        const made = this.#beside.get(key) ?? this.#makeBeside(binding, protocol);
        this.#beside.set(key, made);
        return made;
      },
    };
  }

  async #makeBeside(name: string, protocolName: string): Promise<ProtocolBeside | undefined> {
    const found = this.#resolved.bindings.find(({ binding }) => binding === name);
    const own = this.#parts.get(name);
    if (found === undefined || own === undefined) throw this.#unbound(name);
    if (found.protocol === protocolName) return { ...own, api: this.#apis.get(name) };
    const provider = this.#providers.get(found.provider ?? "");
    const protocol = this.#configuration.protocols.get(protocolName);
    const driver = await provider?.driver(protocolName);
    if (driver === undefined || protocol === undefined) return undefined;
    const settings = {};
    this.#configuration.checkSettings(protocol.settings, settings);
    const context = this.#context({ ...found, binding: protocolName, protocol: protocolName, settings }, protocol, provider);
    return { driver, context, api: create(protocol, driver, context) };
  }

  get<B extends Binding>(binding: B): Api<B> {
    const api = this.#apis.get(binding);
    if (api === undefined) throw this.#unbound(binding);
    if (this.#refusing.signal.aborted) throw closedError({ binding }, "get");
    return api as Api<B>;
  }

  #unbound(binding: string): HexkitError {
    const bound = [...this.#apis.keys()];
    const named = binding.split(":").length <= 2 && binding.split(":").every((part) => namePattern.test(part));
    const way = named
      ? `bind it under "protocols" in the configuration, or by ${bindingVariable(binding)}=<provider or plugin>`
      : 'a binding is a protocol or "protocol:name", in lower camel case';
    return new HexkitError(
      "ERR_HEXKIT_UNBOUND",
      `nothing is bound as ${JSON.stringify(binding)}; bound: ${bound.join(", ") || "nothing"}; ${way}`,
      { origin: { binding } },
    );
  }

  get container(): DependencyContainer {
    if (this.#container === undefined) {
      this.#container = createContainer();
      for (const [binding, api] of this.#apis) this.#container.registerInstance<unknown>(binding, api);
    }
    return this.#container;
  }

  has(binding: string): boolean {
    return this.#apis.has(binding);
  }

  health({ timeoutMs = 5_000 }: { readonly timeoutMs?: number } = {}): Promise<HealthReport> {
    return createHealth(this.#closing.signal.aborted, this.#providers, this.#reports, timeoutMs, this.#surroundings.redact);
  }

  serve(options: ServeOptions = {}): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError({}, "serve"));
    return serveUntilSignal(this, this.#failure.promise, this.#closing.signal, this.#logger, options);
  }

  close({ timeoutMs = this.#resolved.lifecycle.closeTimeoutMs }: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(timeoutMs);
    return this.#closed;
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#closing.abort();
    await closeAll(this.#works, timeoutMs, this.#surroundings.redact);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A protocol of someone else's may throw anything. */
function create(protocol: ProtocolDefinition, driver: unknown, context: ProtocolContext): unknown {
  try {
    return protocol.create(driver as never, context as never);
  } catch (error) {
    throw context.mapError(error, "create", "its portable object");
  }
}

function ownError(site: CallSite, code: HexkitError["code"], message: string, cause: unknown): HexkitError {
  return new HexkitError(code, `${describeOrigin(site.origin)}: ${message}`, {
    origin: site.origin,
    redact: site.redact,
    ...(cause !== undefined && { cause }),
  });
}
