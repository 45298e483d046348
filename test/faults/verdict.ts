import assert from "node:assert/strict";
import type { Run, Sending } from "./journal.ts";

export interface Verdict {
  readonly sent: number;
  readonly acknowledged: number;
  /** Runs of handlers that ended well. */
  readonly handled: number;
  /** Of them, those of events that had been handled before. */
  readonly duplicates: number;
  readonly orderViolations: number;
}

/** Ids of events with more than one run that is not a retry of the run before. */
export function repeatedIds(runs: readonly Run[]): Set<string> {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { id, attempt } of runs) {
    if (attempt > 1) continue;
    if (seen.has(id)) repeated.add(id);
    seen.add(id);
  }
  return repeated;
}

export function handledIds(runs: readonly Run[]): Set<string> {
  return new Set(runs.filter(isHandled).map(({ id }) => id));
}

export function isHandled({ endMs, failed }: Run): boolean {
  return endMs !== undefined && failed !== true;
}

/** Compares what was sent with what was handled, over all members. `killed`: until when the runs of killed members count as running. */
export function judge(sendings: Iterable<Sending>, runs: readonly Run[], killed: ReadonlyMap<string, number> = new Map()): Verdict {
  const sent = [...sendings];
  const handled = runs.filter(isHandled);
  return {
    sent: sent.length,
    acknowledged: sent.filter(({ acknowledgedMs }) => acknowledgedMs !== undefined).length,
    handled: handled.length,
    duplicates: handled.length - handledIds(runs).size,
    orderViolations: orderViolations(runs, killed),
  };
}

/**
 * Per key, over all members: an event whose first run comes after that of a later one, one that has failed and succeeds only after a later one, and
 * a run that begins before the run before it has ended. A repetition of what has succeeded before is no violation, but it must not run beside another.
 */
function orderViolations(runs: readonly Run[], killed: ReadonlyMap<string, number>): number {
  const byKey = new Map<string, Run[]>();
  for (const run of runs) byKey.set(run.key, [...(byKey.get(run.key) ?? []), run]);
  let violations = 0;
  for (const ofKey of byKey.values()) {
    ofKey.sort((a, b) => a.beginMs - b.beginMs);
    const seen = new Set<string>();
    const done = new Set<string>();
    let latest = 0;
    let latestDone = 0;
    let busyUntilMs = 0;
    for (const run of ofKey) {
      const first = !seen.has(run.id);
      if (first && run.n <= latest) violations += 1;
      if (isHandled(run)) {
        if (!first && !done.has(run.id) && run.n < latestDone) violations += 1;
        done.add(run.id);
        latestDone = Math.max(latestDone, run.n);
      }
      if (run.beginMs < busyUntilMs) violations += 1;
      seen.add(run.id);
      latest = Math.max(latest, run.n);
      busyUntilMs = Math.max(busyUntilMs, run.endMs ?? killed.get(run.member) ?? Number.POSITIVE_INFINITY);
    }
  }
  return violations;
}

/** Fails unless exactly the acknowledged events were handled; one whose call failed may have been stored or not. */
export function assertExact(sendings: Iterable<Sending>, runs: readonly Run[]): void {
  const sent = [...sendings];
  const handled = handledIds(runs);
  const lost = sent.filter(({ id, acknowledgedMs }) => acknowledgedMs !== undefined && !handled.has(id));
  assert.deepEqual(lost, [], `${lost.length} acknowledged events were not handled`);
  const known = new Set(sent.map(({ id }) => id));
  const strangers = [...handled].filter((id) => !known.has(id));
  assert.deepEqual(strangers, [], `${strangers.length} events were handled that nobody sent`);
}
