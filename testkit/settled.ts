import { type CallOptions, HexkitError, isHexkitError, type Registry, systemClock, untilAborted } from "../core/index.ts";
import { insideOf, type RegistryInside } from "../core/inside.ts";

export interface SettledOptions extends CallOptions {
  /** How long it may take, by the system's clock. Default: 30,000. */
  readonly timeoutMs?: number;
}

const longestPauseMs = 50;

/**
 * Resolves when everything that was published so far has been handled: nothing of this registry is on its way to a broker, its relays have nothing left
 * to publish, and the groups of its subscriptions have nothing left in their topics, whoever published it; retries, dead letters and what handlers
 * publish themselves included. Other members of a group count as well. Nothing is missed by looking too early, and nothing has to be waited for.
 * @throws ERR_HEXKIT_NOT_SETTLED if a subscription has failed, or with a list of what is still open when the time is over; ERR_HEXKIT_UNSUPPORTED if a
 * plugin cannot look at its topics; ERR_HEXKIT_CLOSED, ERR_HEXKIT_ABORTED.
 */
export async function settled(registry: Registry, { timeoutMs = 30_000, signal }: SettledOptions = {}): Promise<void> {
  const late = new AbortController();
  const stop = (): void => late.abort();
  const timer = setTimeout(stop, timeoutMs);
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  let open: readonly string[] = [];
  try {
    // Two looks without anything in between: whatever the first saw too early, the second would have seen.
    for (let before: string | undefined, pauseMs = 1; ; ) {
      const inside = insideOf(registry, "settled");
      if (inside.isClosed) throw new HexkitError("ERR_HEXKIT_CLOSED", "settled: the registry has closed");
      const look = await untilAborted(lookAt(inside, late.signal), late.signal);
      if (late.signal.aborted) throw late.signal.reason;
      open = look.open;
      if (open.length === 0 && look.mark === before) return;
      before = open.length === 0 ? look.mark : undefined;
      if (open.length > 0) await systemClock.sleep(pauseMs, late.signal);
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  } catch (error) {
    if (!late.signal.aborted) throw error;
    const list = open.length === 0 ? "\n- nothing could be looked at" : open.map((each) => `\n- ${each}`).join("");
    if (signal?.aborted)
      throw new HexkitError("ERR_HEXKIT_ABORTED", `settled: aborted by its signal; still open:${list}`, { cause: signal.reason });
    throw new HexkitError("ERR_HEXKIT_NOT_SETTLED", `settled: after ${timeoutMs} ms is still open:${list}`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/** What all bindings say at one moment. One that cannot tell for a passing reason is open. */
async function lookAt({ probes }: RegistryInside, signal: AbortSignal): Promise<{ open: string[]; mark: string }> {
  const reports = await Promise.all(
    probes.map(async ({ binding, probe }) => {
      try {
        const { open, mark } = await probe(signal);
        return { open: open.map((each) => `${binding}, ${each}`), mark };
      } catch (error) {
        if (!isHexkitError(error) || !error.retryable) throw error;
        return { open: [error.message], mark: "" };
      }
    }),
  );
  return { open: reports.flatMap(({ open }) => open), mark: reports.map(({ mark }) => mark).join(";") };
}
