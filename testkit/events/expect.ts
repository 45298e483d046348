import { AssertionError } from "node:assert";
import { HexkitError, type Registry } from "../../core/index.ts";
import { type ExpectedEvent, normalised } from "./difference.ts";
import { matchByKey, pairUp } from "./matching.ts";
import { type RecordedEvent, type RecordOptions, recordEvents } from "./recording.ts";
import { describePairs } from "./report.ts";

export interface ExpectOptions {
  /**
   * All events in exactly this order. Only events of one partition have an order, so it fails for those of several.
   * Default: off; then events of one topic and key must come in the order of the list, and other events may lie between them.
   */
  readonly inOrder?: boolean;
}

/**
 * Fails unless exactly these events came, no more and no fewer: `expectEvents(recording.events, […])`. Of events without a `key`
 * any may be meant that fits.
 * @throws AssertionError with every event beside what was expected, the first difference marked; ERR_HEXKIT_PAYLOAD_INVALID for an expected payload
 * that JSON does not have.
 */
export function expectEvents(events: readonly RecordedEvent[], expected: readonly ExpectedEvent[], options?: ExpectOptions): void;
/**
 * Records while `work` runs, and then fails unless exactly these events were added to the topics. It waits for nothing: let `work` end with
 * `await settled(registry)`. Resolves to the events.
 * @throws as above, and as `recordEvents`, and what `work` throws.
 */
export function expectEvents(
  registry: Registry,
  topics: string | readonly string[],
  expected: readonly ExpectedEvent[],
  work: () => unknown,
  options?: ExpectOptions & RecordOptions,
): Promise<readonly RecordedEvent[]>;
export function expectEvents(
  from: readonly RecordedEvent[] | Registry,
  second: readonly ExpectedEvent[] | string | readonly string[],
  third?: ExpectOptions | readonly ExpectedEvent[],
  work?: () => unknown,
  options: ExpectOptions & RecordOptions = {},
): undefined | Promise<readonly RecordedEvent[]> {
  if (Array.isArray(from)) {
    compare(from as readonly RecordedEvent[], second as readonly ExpectedEvent[], third as ExpectOptions);
    return undefined;
  }
  if (typeof work !== "function")
    throw new HexkitError(
      "ERR_HEXKIT_INVALID_ARGUMENT",
      "expectEvents: it takes recorded events, or a registry, topics, events and a function",
    );
  return recordWhile(from as Registry, second as string | readonly string[], third as readonly ExpectedEvent[], work, options);
}

async function recordWhile(
  registry: Registry,
  topics: string | readonly string[],
  expected: readonly ExpectedEvent[],
  work: () => unknown,
  options: ExpectOptions & RecordOptions,
): Promise<readonly RecordedEvent[]> {
  const recording = await recordEvents(registry, topics, options);
  await work();
  const events = await recording.stop(options);
  compare(events, expected, options);
  return events;
}

function compare(events: readonly RecordedEvent[], given: readonly ExpectedEvent[], { inOrder = false }: ExpectOptions = {}): void {
  const expected = given.map(normalised);
  const partitions = new Set(events.map(({ topic, partition }) => `${topic}/${partition}`));
  const isOrderless = inOrder && partitions.size > 1;
  const pairs = pairUp(expected, events, inOrder);
  const isMatch = inOrder ? pairs.every(({ differences }) => differences.length === 0) : matchByKey(expected, events);
  if (isMatch && !isOrderless) return;
  const message = isOrderless
    ? `expectEvents: inOrder, but the events lie in ${partitions.size} partitions (${[...partitions].join(", ")}), between which there is no order`
    : describePairs(pairs, expected.length, events);
  const actual = events.map(({ topic, type, key, payload, eventId, headers }) => ({ topic, type, key, eventId, headers, payload }));
  throw new AssertionError({ message, actual, expected, operator: "expectEvents", stackStartFn: expectEvents });
}
