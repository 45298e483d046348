import type { DocumentPatch, DocumentValue, StoredDocument } from "../../core/index.ts";
import { isDocument } from "./dao-paths.ts";
import { setField } from "./dao-values.ts";

/** A document with a few fields changed; the one given stays as it is. */
export function patched(document: StoredDocument, { set = [], increment = [] }: DocumentPatch): StoredDocument {
  let result: DocumentValue = document;
  for (const { path, value } of set) result = withValue(result, path, () => value);
  for (const { path, by } of increment) {
    result = withValue(result, path, (before) => {
      if (before !== undefined && typeof before !== "number") throw new Error(`${path.join(".")} is no number`);
      return (before ?? 0) + by;
    });
  }
  return result as StoredDocument;
}

function withValue(
  target: DocumentValue | undefined,
  [name, ...rest]: readonly string[],
  change: (before: DocumentValue | undefined) => DocumentValue,
): DocumentValue {
  if (name === undefined) return change(target);
  if (target !== undefined && !isDocument(target)) throw new Error(`${name} cannot be set in what is no object`);
  const result: Record<string, DocumentValue> = { ...target };
  setField(result, name, withValue(target !== undefined && Object.hasOwn(target, name) ? target[name] : undefined, rest, change));
  return result;
}
