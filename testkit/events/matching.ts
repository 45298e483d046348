import { differencesOf, type ExpectedEvent } from "./difference.ts";
import type { RecordedEvent } from "./recording.ts";

/** An expected event, what came in its place, and in what they differ. */
export interface Pair {
  readonly expected: ExpectedEvent | undefined;
  readonly came: RecordedEvent | undefined;
  readonly differences: readonly string[];
}

/** How many ways of matching events that name no key are tried. */
const mostStates = 20_000;

/**
 * Whether the expected events are those that came, with the events of each topic and key in their order. Walks along the list, and takes each event
 * from the head of one key's queue; where several heads fit, each is tried.
 */
export function matchByKey(expected: readonly ExpectedEvent[], events: readonly RecordedEvent[]): boolean {
  if (expected.length !== events.length) return false;
  const queues = [...queuesOf(events).values()];
  const at = queues.map(() => 0);
  const dead = new Set<string>();
  const walk = (index: number): boolean => {
    const event = expected[index];
    if (event === undefined) return true;
    const state = at.join();
    if (dead.has(state) || dead.size > mostStates) return false;
    for (const [number, queue] of queues.entries()) {
      const head = queue[at[number] as number];
      if (head === undefined || differencesOf(event, head).length > 0) continue;
      at[number] = (at[number] as number) + 1;
      if (walk(index + 1)) return true;
      at[number] = (at[number] as number) - 1;
    }
    dead.add(state);
    return false;
  };
  return walk(0);
}

/** Puts each expected event beside the one that is most like it, for people; `inOrder`: beside the one in the same place. */
export function pairUp(expected: readonly ExpectedEvent[], events: readonly RecordedEvent[], inOrder: boolean): Pair[] {
  if (inOrder) {
    const length = Math.max(expected.length, events.length);
    return Array.from({ length }, (_, index) => pair(expected[index], events[index]));
  }
  const left = new Set(events);
  const partners = expected.map((event) => {
    const exact = [...left].find((each) => differencesOf(event, each).length === 0);
    if (exact !== undefined) left.delete(exact);
    return exact;
  });
  const closest = (event: ExpectedEvent): RecordedEvent | undefined => {
    const related = [...left].filter(({ type, key }) => type === event.type || key === event.key);
    const ranked = related.map((each) => ({ each, count: differencesOf(event, each).length })).sort((a, b) => a.count - b.count);
    const found = ranked[0]?.each;
    if (found !== undefined) left.delete(found);
    return found;
  };
  const pairs = expected.map((event, index) => pair(event, partners[index] ?? closest(event)));
  return [...outOfOrder(pairs), ...[...left].map((event) => pair(undefined, event))];
}

function pair(expected: ExpectedEvent | undefined, came: RecordedEvent | undefined): Pair {
  if (expected === undefined || came === undefined)
    return { expected, came, differences: [came === undefined ? "it did not come" : "it was not expected"] };
  return { expected, came, differences: differencesOf(expected, came) };
}

/** Says where events of one key have come in another order than expected. */
function outOfOrder(pairs: readonly Pair[]): Pair[] {
  const latest = new Map<string, { readonly offset: number; readonly number: number }>();
  return pairs.map((each, index) => {
    const { came, differences } = each;
    if (came === undefined) return each;
    const before = latest.get(queueOf(came));
    if (before === undefined || before.offset < came.offset) latest.set(queueOf(came), { offset: came.offset, number: index + 1 });
    else
      return {
        ...each,
        differences: [...differences, `order: with key ${JSON.stringify(came.key)} it came before number ${before.number}`],
      };
    return each;
  });
}

function queuesOf(events: readonly RecordedEvent[]): Map<string, RecordedEvent[]> {
  const queues = new Map<string, RecordedEvent[]>();
  for (const event of events) queues.set(queueOf(event), [...(queues.get(queueOf(event)) ?? []), event]);
  return queues;
}

function queueOf({ topic, key }: RecordedEvent): string {
  return JSON.stringify([topic, key]);
}
