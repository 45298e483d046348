import { type DocumentValue, isUuid, type SortKey } from "../../core/index.ts";
import { MemoryDaoError } from "./dao-errors.ts";
import { compareValues, emptyArray, type KeyValue } from "./dao-values.ts";

type Fields = Readonly<Record<string, DocumentValue>>;

export function isDocument(value: DocumentValue | undefined): value is Fields {
  if (typeof value !== "object" || value === null) return false;
  return !Array.isArray(value) && !(value instanceof Date) && !(value instanceof Uint8Array) && !isUuid(value);
}

const isList = (value: DocumentValue | undefined): value is readonly DocumentValue[] => Array.isArray(value);
const own = (fields: Fields, name: string): DocumentValue | undefined => (Object.hasOwn(fields, name) ? fields[name] : undefined);
const isPosition = (name: string): boolean => /^(0|[1-9]\d*)$/.test(name);

/**
 * Calls `visit` with each value that a path leads to, `undefined` for a missing one, until it answers true. What MongoDB's matcher visits: through
 * arrays into their documents and by position, at the end each element and then the whole array. Answers whether some visit did.
 */
export function visitPath(
  document: DocumentValue,
  path: readonly string[],
  visit: (value: DocumentValue | undefined) => boolean,
  from = 0,
): boolean {
  let value: DocumentValue | undefined = document;
  let at = from;
  while (at < path.length && isDocument(value)) {
    value = own(value, path[at] as string);
    at += 1;
  }
  if (!isList(value)) return at < path.length && value !== undefined ? visit(undefined) : visit(value);
  if (at === path.length) return value.some((element) => visit(element)) || visit(value);
  const name = path[at] as string;
  return value.some((element, index) => {
    if (isDocument(element) && visitPath(element, path, visit, at)) return true;
    if (!isPosition(name) || Number(name) !== index) return false;
    // By position: what is there, as it is; an array in it is not gone through once more.
    if (at + 1 === path.length) return visit(element);
    return isDocument(element) || isList(element) ? visitPath(element, path, visit, at + 1) : false;
  });
}

/** The entries that an index over these fields has for a document: one, or one for each element of the array that they go through. */
export function indexKeys(document: Fields, keys: readonly SortKey[]): KeyValue[][] {
  return expand(
    keys.map(({ path }) => ({ value: document, rest: path })),
    keys,
  );
}

interface Walk {
  readonly value: DocumentValue | undefined;
  readonly rest: readonly string[];
  /** It has passed through an array and ends here. */
  readonly isDone?: boolean;
}

function expand(walks: readonly Walk[], keys: readonly SortKey[]): KeyValue[][] {
  const ends = walks.map(follow);
  const lists = ends.filter((end) => !end.isDone && isList(end.value));
  const [first] = lists;
  if (first === undefined) return [ends.map(({ value, rest }) => (rest.length > 0 || value === undefined ? null : value))];
  const list = first.value as readonly DocumentValue[];
  if (lists.some(({ value }) => value !== list)) {
    const names = keys.filter((_, index) => lists.includes(ends[index] as Walk)).map(({ path }) => path.join("."));
    throw new MemoryDaoError(
      "MEMORY_PARALLEL_ARRAYS",
      `${names.join(" and ")} are lists side by side; an index or a sort goes through one only`,
    );
  }
  if (list.length === 0) {
    return [ends.map((end): KeyValue => (end.value === list && !end.isDone ? (end.rest.length === 0 ? emptyArray : null) : keyValue(end)))];
  }
  return list.flatMap((element) =>
    expand(
      ends.map((end): Walk => {
        if (end.value !== list || end.isDone) return end;
        return end.rest.length === 0
          ? { value: element, rest: [], isDone: true }
          : { value: isDocument(element) ? element : undefined, rest: end.rest };
      }),
      keys,
    ),
  );
}

const keyValue = ({ value, rest }: Walk): KeyValue => (rest.length > 0 || value === undefined ? null : value);

/** Through documents, and into arrays by position, as far as it goes. */
function follow(walk: Walk): Walk {
  let { value, rest } = walk;
  for (;;) {
    const [name, ...others] = rest;
    if (name === undefined || walk.isDone) return { value, rest, ...(walk.isDone && { isDone: true }) };
    if (isDocument(value)) value = own(value, name);
    else if (isList(value) && isPosition(name)) value = value[Number(name)];
    else return isList(value) ? { value, rest } : { value: undefined, rest: [] };
    rest = others;
  }
}

/** Whether a path leads to anything, as a sparse index asks. */
export function isPresent(document: Fields, path: readonly string[]): boolean {
  return visitPath(document, path, (value) => value !== undefined);
}

/** A comparison of documents by sort keys: an array counts as its least element, or its greatest where the key descends. */
export function bySortKeys(keys: readonly SortKey[]): (a: readonly KeyValue[], b: readonly KeyValue[]) => number {
  return (a, b) => {
    for (const [index, { descending }] of keys.entries()) {
      const order = compareValues(a[index] as KeyValue, b[index] as KeyValue);
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  };
}

/** The entry that a document is sorted by. */
export function sortEntry(document: Fields, keys: readonly SortKey[]): readonly KeyValue[] {
  const compare = bySortKeys(keys);
  return indexKeys(document, keys).reduce((best, entry) => (compare(entry, best) < 0 ? entry : best));
}
