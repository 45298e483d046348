import { inspect } from "node:util";

/** Removes every known secret from a text. */
export type Redact = (text: string) => string;

/** Shorter ones would shred ordinary words; nothing so short keeps a secret. */
const shortestSecret = 3;

const mask = "[secret]";

/** Makes a `Redact` for these secrets, in all their spellings. Longer ones first, so that one inside another leaves no rest. */
export function createRedact(secrets: readonly string[]): Redact {
  const known = [...new Set(secrets)].filter((secret) => secret.length >= shortestSecret).sort((a, b) => b.length - a.length);
  if (known.length === 0) return (text) => text;
  // What is masked already stays so, also if a secret is part of the mask's word.
  const pattern = new RegExp([escapePattern(mask), ...known.map((secret) => [...secret].map(spellings).join(""))].join("|"), "g");
  return (text) => text.replace(pattern, mask);
}

/** A character as it is, URL-encoded, and as JSON and `util.inspect` escape it: errors and URLs quote secrets in any of these. */
function spellings(character: string): string {
  if (/[\w.~-]/.test(character)) return escapePattern(character);
  const hex = (code: number, digits: number): string =>
    code
      .toString(16)
      .padStart(digits, "0")
      .replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
  const encoded = [...Buffer.from(character)].map((byte) => `%${hex(byte, 2)}`);
  const units = Array.from({ length: character.length }, (_, index) => `\\\\+u${hex(character.charCodeAt(index), 4)}`);
  const escapes = [JSON.stringify(character), inspect(character)].map((quoted) => quoted.slice(1, -1)).filter((text) => text[0] === "\\");
  const forms = [
    // Any number of backslashes: what is quoted may be quoted again.
    `\\\\*${escapePattern(character)}`,
    ...escapes.map((text) => `\\\\+${escapePattern(text.slice(1))}`),
    encoded.join(""),
    units.join(""),
    ...(character === " " ? ["\\+"] : []),
    // `inspect` breaks long texts into lines, and indents the lines of messages.
    ...(character === "\n" ? ["\\\\+n['\"`] \\+\\s+['\"`]", "\\n[ \\t]+"] : []),
  ];
  return `(?:${[...new Set(forms)].sort((a, b) => b.length - a.length).join("|")})`;
}

const escapePattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A copy of plain data with every text redacted; what is not plain data becomes its redacted text. */
export function redactValue(value: unknown, redact: Redact, depth = 6): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function") return redact(String(value));
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value;
  if (value instanceof Error) return describeError(value, redact);
  if (depth === 0) return "[…]";
  if (Array.isArray(value)) return value.map((item) => redactValue(item, redact, depth - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return redact(inspect(value, { depth, breakLength: Number.POSITIVE_INFINITY }));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [redact(key), redactValue(item, redact, depth - 1)]));
}

/** What a thrown value says. Anything can be thrown, also what has no text. */
export function factOf(error: unknown): string {
  if (error instanceof Error) return textOf(error.message) || textOf(error.name) || "Error";
  try {
    return String(error);
  } catch {
    return `a thrown ${typeof error}`;
  }
}

/** A part of an error as text: errors can be written to, so nothing about them is text for certain. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : factOf(value);
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
