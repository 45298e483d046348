import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { alternatives, itemsOf, propertyOf } from "./coerce.ts";
import { isObject } from "./layers.ts";
import { quoted } from "./names.ts";
import type { PropertySchema } from "./types.ts";

/** What replaces a secret wherever the configuration is shown. */
export const mask = "[secret]";

export type Fetched = { readonly text: string; readonly origin: string } | { readonly problem: string };

/** Reads a secret's file, without the line break at its end. */
export function readSecretFile(path: string, folder: string): Fetched {
  try {
    return { text: readFileSync(resolve(folder, path), "utf8").replace(/\r?\n$/, ""), origin: `file ${path}` };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "error";
    return { problem: `file ${quoted(path)} ${code === "ENOENT" ? "does not exist" : `cannot be read (${code})`}` };
  }
}

/** Follows `{ "$env": … }` or `{ "$file": … }`. */
export function fetchReference(
  reference: Record<string, unknown>,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Fetched {
  const [key, ...more] = Object.keys(reference);
  const target = key === undefined ? undefined : reference[key];
  if (more.length > 0) return { problem: "`$env` and `$file` stand alone in their object" };
  if (typeof target !== "string" || target === "")
    return { problem: `\`${key}\` must be text: the name of a ${key === "$env" ? "variable" : "file"}` };
  if (key === "$file") return readSecretFile(target, folder);
  const text = env[target];
  return text === undefined
    ? { problem: `the variable ${quoted(target)} is not set` }
    : { text, origin: `environment ${target} (by $env)` };
}

/** Whether a value of this schema holds a secret somewhere. */
export function isSecret(schema: PropertySchema): boolean {
  return alternatives(schema).some((part) => {
    if (part.writeOnly === true) return true;
    const inner = [...Object.values(part.properties ?? {}), part.items, part.additionalProperties];
    return inner.some((child) => isObject(child) && isSecret(child as PropertySchema));
  });
}

/** Adds the secrets in a value: what the schema marks, and the passwords in addresses. */
export function collectSecrets(schema: PropertySchema, value: unknown, into: Set<string>): void {
  if (alternatives(schema).some((part) => part.writeOnly === true)) addSecret(value, into);
  else if (typeof value === "string") for (const password of passwordsIn(value)) addForms(password, into);
  else if (Array.isArray(value)) for (const item of value) collectSecrets(itemsOf(schema), item, into);
  else if (isObject(value)) for (const [key, child] of Object.entries(value)) collectSecrets(propertyOf(schema, key), child, into);
}

/** Adds everything in a value that is secret as a whole. */
export function addSecret(value: unknown, into: Set<string>): void {
  if (typeof value === "string") {
    addForms(value, into);
    for (const password of passwordsIn(value)) addForms(password, into);
  } else if (typeof value === "number") addForms(String(value), into);
  else if (typeof value === "object" && value !== null) for (const child of Object.values(value)) addSecret(child, into);
}

/** The text itself, URL-decoded, and both URL-encoded. */
function addForms(text: string, into: Set<string>): void {
  for (const form of [text, converted(decodeURIComponent, text)]) {
    if (form === "") continue;
    into.add(form);
    into.add(converted(encodeURIComponent, form));
  }
}

function converted(convert: (text: string) => string, text: string): string {
  try {
    return convert(text);
  } catch {
    // A stray `%`, or half of a surrogate pair: there is no such form.
    return text;
  }
}

// Up to the last `@` before the path, because people forget to encode an `@` in a password.
const userInfo = /([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*:)([^\s/?#]+)@/gi;
// A password with an unencoded `/`, `?` or `#`: then up to the last `@` of all.
const wildUserInfo = /([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*:)(?!\d{1,5}\/)(\S+)@/gi;
const parameter = /\b((?:password|passwd|pwd|secret|token)\s*=\s*)([^&;\s]+)/gi;

function addresses(text: string): string[] {
  return text.split(/(,(?=[a-z][a-z0-9+.-]*:\/\/))/i);
}

const patternsFor = (address: string): RegExp[] => [address.search(userInfo) >= 0 ? userInfo : wildUserInfo, parameter];

function passwordsIn(text: string): string[] {
  return addresses(text).flatMap((address) =>
    patternsFor(address).flatMap((pattern) => [...address.matchAll(pattern)].map((match) => match[2] ?? "")),
  );
}

/** The text with the passwords of its addresses masked. */
export function maskPasswords(text: string): string {
  const masked = addresses(text).map((address) =>
    patternsFor(address).reduce(
      (result, pattern) =>
        result.replace(pattern, (match, before: string) => `${before}${mask}${match.endsWith("@") && pattern !== parameter ? "@" : ""}`),
      address,
    ),
  );
  return masked.join("");
}

/** A safety net for messages and places: hides secrets that are long enough not to occur by chance, and addresses used as keys. */
export function redact(text: string, secrets: Iterable<string>): string {
  let result = text.replace(/[^/#]*:~1~1[^/]*/g, "(a key not shown here)");
  for (const secret of secrets) if (secret.length >= 8) result = result.replaceAll(secret, mask);
  return result;
}
