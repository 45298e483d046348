import { untilAborted } from "./call.ts";
import type { Provider } from "./lifecycle.ts";
import { deadline } from "./promise.ts";
import { factOf, type Redact, redactValue } from "./redaction.ts";

export interface ProviderHealth {
  readonly plugin: string;
  readonly status: "up" | "down";
  /** How long the check took. */
  readonly latencyMs: number;
  /** Why it is down. */
  readonly error?: string;
}

export interface HealthReport {
  /** Every provider is up and no binding says otherwise. */
  readonly ok: boolean;
  /** The registry has been closed; nothing was asked. */
  readonly closed: boolean;
  readonly providers: Readonly<Record<string, ProviderHealth>>;
  /** What bindings say of themselves, such as a subscription's state, lag and counters. */
  readonly bindings: Readonly<Record<string, BindingHealth>>;
}

type BindingHealth = { readonly ok: boolean } & Readonly<Record<string, unknown>>;

export interface HealthSource {
  readonly binding: string;
  readonly report: () => BindingHealth;
}

export async function createHealth(
  closed: boolean,
  providers: ReadonlyMap<string, Provider>,
  sources: readonly HealthSource[],
  timeoutMs: number,
  redact: Redact,
): Promise<HealthReport> {
  const checked = closed ? [] : await Promise.all([...providers.values()].map((provider) => checkProvider(provider, timeoutMs, redact)));
  const bindings: Record<string, BindingHealth> = {};
  for (const source of sources) {
    const report = readReport(source, redact);
    bindings[source.binding] = { ...bindings[source.binding], ...report, ok: report.ok && bindings[source.binding]?.ok !== false };
  }
  const ok = !closed && checked.every(([, { status }]) => status === "up") && Object.values(bindings).every((binding) => binding.ok);
  return { ok, closed, providers: Object.fromEntries(checked), bindings };
}

/** One that cannot tell is not well. */
function readReport({ report }: HealthSource, redact: Redact): BindingHealth {
  try {
    return redactValue({ ...report() }, redact) as BindingHealth;
  } catch (error) {
    return { ok: false, error: redact(factOf(error)) };
  }
}

async function checkProvider(provider: Provider, timeoutMs: number, redact: Redact): Promise<[string, ProviderHealth]> {
  const started = performance.now();
  const plugin = provider.plugin.name;
  const took = (): number => Math.round((performance.now() - started) * 10) / 10;
  const { signal, clear } = deadline(timeoutMs, new Error(`no answer within ${timeoutMs} ms`));
  try {
    await untilAborted(provider.check(signal), signal);
    return [provider.name, { plugin, status: "up", latencyMs: took() }];
  } catch (error) {
    const reason = redact(factOf(error));
    return [provider.name, { plugin, status: "down", latencyMs: took(), error: reason }];
  } finally {
    clear();
  }
}
