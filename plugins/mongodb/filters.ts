import type { DocumentPatch, FilterNode, IndexSpec, SortKey } from "../../core/index.ts";
import type { Document, RawDocument } from "./client.ts";
import type { DocumentCodec } from "./documents.ts";

/** Matches nothing; the server does not even look. */
const nothing: Document = { _id: { $in: [] } };

const dotted = (path: readonly string[]): string => path.join(".");

export function toFilter(node: FilterNode, codec: DocumentCodec): Document {
  switch (node.op) {
    case "and": {
      const [first, ...rest] = node.filters;
      if (first === undefined) return {};
      return rest.length === 0 ? toFilter(first, codec) : { $and: node.filters.map((each) => toFilter(each, codec)) };
    }
    case "or":
      return node.filters.length === 0 ? nothing : { $or: node.filters.map((each) => toFilter(each, codec)) };
    case "not":
      return { $nor: [toFilter(node.filter, codec)] };
    case "exists":
      return { [dotted(node.path)]: { $exists: true } };
    case "in":
      return { [dotted(node.path)]: { $in: node.values.map((value) => codec.value(value)) } };
    case "is":
      // Whole and in order of keys; a literal, so that nothing in it is read as an expression.
      return { $expr: { $eq: ["$$ROOT", { $literal: codec.encode(node.document) }] } };
    default:
      return { [dotted(node.path)]: { [`$${node.op}`]: codec.value(node.value) } };
  }
}

/** The document with an id, if the guard holds for it. */
export function guarded(id: RawDocument["_id"], guard: FilterNode | undefined, codec: DocumentCodec): Document {
  return guard === undefined ? { _id: id } : { $and: [{ _id: id }, toFilter(guard, codec)] };
}

/** As a map, because an object would put names that are numbers first. */
export function toSort(keys: readonly SortKey[]): Map<string, 1 | -1> {
  return new Map(keys.map(({ path, descending }) => [dotted(path), descending ? -1 : 1]));
}

/** `undefined` for an index on the id alone, which every collection has. */
export function toIndex({ fields, unique, sparse, where }: IndexSpec, codec: DocumentCodec): { key: Map<string, 1 | -1> } | undefined {
  if (fields.length === 1 && fields[0]?.path.length === 1 && fields[0].path[0] === "_id") return undefined;
  return {
    key: toSort(fields),
    ...(unique && { unique }),
    ...(sparse && { sparse }),
    ...(where !== undefined && { partialFilterExpression: toFilter(where, codec) }),
  };
}

export function toUpdate({ set = [], increment = [] }: DocumentPatch, codec: DocumentCodec): Document {
  const update: Document = {};
  if (set.length > 0) update.$set = Object.fromEntries(set.map(({ path, value }) => [dotted(path), codec.value(value)]));
  if (increment.length > 0) update.$inc = Object.fromEntries(increment.map(({ path, by }) => [dotted(path), codec.value(by)]));
  return update;
}
