const canonical = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const version4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Reads a UUID as leniently as Python's `UUID(…)` does (upper case, braces, `urn:uuid:`, missing hyphens) and
 * gives it in canonical form; `undefined` if it is none.
 */
export function parseUuid(text: string): string | undefined {
  if (canonical.test(text)) return text;
  const digits = text
    .toLowerCase()
    .replace("urn:", "")
    .replace("uuid:", "")
    .replace(/^[{}]+|[{}]+$|-/g, "");
  if (!/^[0-9a-f]{32}$/.test(digits)) return undefined;
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
}

/** Whether a UUID in canonical form is of version 4. */
export function isVersion4(uuid: string): boolean {
  return version4.test(uuid);
}
