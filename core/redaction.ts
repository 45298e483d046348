/** Removes every known secret from a text. */
export type Redact = (text: string) => string;

/** Shorter ones would shred ordinary words; nothing so short keeps a secret. */
const shortestSecret = 3;

/** Makes a `Redact` for these secrets. Longer ones first, so that one inside another leaves no rest. */
export function createRedact(secrets: readonly string[]): Redact {
  const known = [...new Set(secrets)].filter((secret) => secret.length >= shortestSecret).sort((a, b) => b.length - a.length);
  if (known.length === 0) return (text) => text;
  const pattern = new RegExp(known.map((secret) => secret.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
  return (text) => text.replace(pattern, "[secret]");
}

/** A copy of plain data with every text redacted; what is not plain data becomes its redacted text. */
export function redactValue(value: unknown, redact: Redact, depth = 6): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function") return redact(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value;
  if (value instanceof Error) return describeError(value, redact);
  if (depth === 0) return "[…]";
  if (Array.isArray(value)) return value.map((item) => redactValue(item, redact, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactValue(item, redact, depth - 1)]));
}

/** What a thrown value says, whatever was thrown. */
export function factOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name;
  return typeof error === "object" && error !== null ? "something that is no error was thrown" : String(error);
}

/** An error as data for a log line: class, message and stack, causes included in the stack, all redacted. */
export function describeError(error: unknown, redact: Redact): { type: string; message: string; code?: string; traceback?: string } {
  if (!(error instanceof Error)) return { type: typeof error, message: redact(factOf(error)) };
  const traceback: string[] = [];
  const seen = new Set<unknown>();
  for (let at: unknown = error; at instanceof Error && !seen.has(at) && seen.size < 8; at = at.cause) {
    seen.add(at);
    traceback.push(at.stack ?? `${at.name}: ${at.message}`);
  }
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    message: redact(error.message),
    ...(typeof code === "string" && { code }),
    traceback: redact(traceback.join("\ncaused by: ")),
  };
}
