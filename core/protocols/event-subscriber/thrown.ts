/** The text of whatever was thrown. Anything can be thrown, also what has no text. */
export function factOf(error: unknown): string {
  if (error instanceof Error) return textOf(error.message) || textOf(error.name) || "Error";
  try {
    return String(error);
  } catch {
    return `a thrown ${typeof error}`;
  }
}

/** What a dead letter says of whatever was thrown. */
export function describeThrown(error: unknown): { readonly class: string; readonly message: string; readonly stack: string } {
  if (!(error instanceof Error)) return { class: typeof error, message: factOf(error), stack: "" };
  return { class: textOf(error.constructor?.name) || textOf(error.name), message: textOf(error.message), stack: textOf(error.stack) };
}

/** Errors can be written to: nothing about them is text for certain. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : factOf(value);
}
