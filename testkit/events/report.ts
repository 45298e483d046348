import { describeEvent, type ExpectedEvent } from "./difference.ts";
import type { Pair } from "./matching.ts";
import type { RecordedEvent } from "./recording.ts";

/** What was expected beside what came, event by event; `>` marks the first that differs, `!` the others. */
export function describePairs(pairs: readonly Pair[], expectedCount: number, events: readonly RecordedEvent[]): string {
  const withTopic = new Set(events.map(({ topic }) => topic)).size > 1;
  const width = String(pairs.length).length;
  const first = pairs.findIndex(({ differences }) => differences.length > 0);
  const lines = pairs.flatMap((pair, index) => {
    const head = (mark: string): string => `${mark} ${String(index + 1).padStart(width)}  `;
    const indent = " ".repeat(width + 4);
    const { expected, came, differences } = pair;
    if (differences.length === 0)
      return [`${head(" ")}as expected  ${came === undefined ? "" : describeEvent(shown(came, expected), withTopic)}`];
    return [
      `${head(index === first ? ">" : "!")}expected     ${expected === undefined ? "nothing" : describeEvent(expected, withTopic)}`,
      `${indent}came         ${came === undefined ? "nothing" : describeEvent(shown(came, expected), withTopic)}`,
      ...differences.map((difference) => `${indent}differs      ${difference}`),
    ];
  });
  const came = `${expectedCount} ${expectedCount === 1 ? "event was" : "events were"} expected, ${events.length} came`;
  return [`expectEvents: ${came}; > marks the first difference`, ...lines].join("\n");
}

/** Without what nobody asked for: ids and headers differ from run to run. */
function shown(came: RecordedEvent, expected: ExpectedEvent | undefined): Partial<ExpectedEvent> {
  return { ...came, eventId: expected?.eventId && came.eventId, headers: expected?.headers && came.headers };
}
