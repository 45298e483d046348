import type { DocumentValue, FilterNode, StoredDocument } from "../../core/index.ts";
import { visitPath } from "./dao-paths.ts";
import { compareValues, kindOf } from "./dao-values.ts";

/** Whether a filter holds for a document. */
export function matches(document: StoredDocument, filter: FilterNode): boolean {
  switch (filter.op) {
    case "and":
      return filter.filters.every((each) => matches(document, each));
    case "or":
      return filter.filters.some((each) => matches(document, each));
    case "not":
      return !matches(document, filter.filter);
    case "exists":
      return visitPath(document, filter.path, (value) => value !== undefined);
    case "in":
      return visitPath(document, filter.path, (value) => filter.values.some((each) => equals(value, each)));
    case "eq":
      return visitPath(document, filter.path, (value) => equals(value, filter.value));
    case "is":
      return compareValues(document, filter.document) === 0;
    default: {
      const { op, value: operand } = filter;
      return visitPath(document, filter.path, (value) => isInOrder(op, value, operand));
    }
  }
}

/** Null is equal to a missing value. */
function equals(value: DocumentValue | undefined, operand: DocumentValue): boolean {
  return compareValues(value ?? null, operand) === 0;
}

function isInOrder(op: "eq" | "gt" | "gte" | "lt" | "lte", found: DocumentValue | undefined, operand: DocumentValue): boolean {
  const value = found ?? null;
  if (kindOf(value) !== kindOf(operand)) return false;
  const order = compareValues(value, operand);
  if (order === 0) return op === "gte" || op === "lte";
  // NaN has a place in a sort and none in a comparison.
  if (Number.isNaN(value) || Number.isNaN(operand)) return false;
  return order > 0 === (op === "gt" || op === "gte");
}
