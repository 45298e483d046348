import { factOf, textOf } from "../../redaction.ts";

/** What a dead letter says of whatever was thrown. */
export function describeThrown(error: unknown): { readonly class: string; readonly message: string; readonly stack: string } {
  if (!(error instanceof Error)) return { class: typeof error, message: factOf(error), stack: "" };
  return { class: textOf(error.constructor?.name) || textOf(error.name), message: textOf(error.message), stack: textOf(error.stack) };
}
