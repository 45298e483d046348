import convict from "convict";
import { escapePointer } from "./names.ts";

/** One value from one source: the unit in which sources are laid over each other. */
export interface Leaf {
  /** JSON pointer in the merged configuration. */
  readonly pointer: string;
  readonly value: unknown;
  /** Where it stands: file and pointer, or a variable. */
  readonly place: string;
  /** As `EffectiveValue.origin` shows it. */
  readonly origin: string;
  /** What the document is called; absent for the environment. */
  readonly document?: string;
  /** From which relative paths beneath it are resolved. */
  readonly folder: string;
  /** From the environment: final, so `$env` and `$file` mean nothing in it. */
  readonly variable?: string;
}

/** An object of the merged configuration. */
export interface Branch {
  readonly children: Map<string, Node>;
  /** Where it stands in a file; absent if the environment alone made it. */
  place?: string;
}

export type Node = Branch | Leaf;

export const isBranch = (node: Node | undefined): node is Branch => node !== undefined && "children" in node;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a value points elsewhere: `{ "$env": … }` or `{ "$file": … }`. */
export const isReference = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && (Object.hasOwn(value, "$env") || Object.hasOwn(value, "$file"));

/** Takes a value apart into leaves. Arrays, references and empty objects stay whole. */
export function flatten(value: unknown, pointer: string, leaf: (pointer: string, value: unknown) => Leaf): Leaf[] {
  if (!isObject(value) || isReference(value) || Object.keys(value).length === 0) return [leaf(pointer, value)];
  return Object.entries(value).flatMap(([key, child]) => flatten(child, `${pointer}/${escapePointer(key)}`, leaf));
}

/** Lays layers over each other, later ones over earlier ones: objects merge, everything else is replaced. */
export function merge(layers: readonly (readonly Leaf[])[]): Branch {
  const leaves = layers.flat();
  const store = convict<Record<string, number>>(Object.fromEntries(leaves.map((leaf) => [leaf.pointer, { default: -1, format: "*" }])), {
    env: {},
    args: [],
  });
  let index = 0;
  for (const layer of layers) store.load(Object.fromEntries(layer.map((leaf) => [leaf.pointer, index++])));
  const winners = Object.values(store.getProperties()).sort((a, b) => a - b);
  const root: Branch = { children: new Map() };
  // In order of the layers, because a value may replace a whole object of an earlier layer, and the other way round.
  for (const winner of winners) insert(root, leaves[winner] as Leaf);
  return root;
}

function insert(root: Branch, leaf: Leaf): void {
  const keys = keysOf(leaf.pointer);
  const last = keys.pop();
  let branch = root;
  let pointer = "";
  for (const key of keys) {
    pointer += `/${escapePointer(key)}`;
    branch = childBranch(branch, key, pointer, leaf);
  }
  if (last === undefined) return;
  if (isObject(leaf.value) && !isReference(leaf.value)) childBranch(branch, last, leaf.pointer, leaf);
  else branch.children.set(last, leaf);
}

function childBranch(parent: Branch, key: string, pointer: string, leaf: Leaf): Branch {
  const existing = parent.children.get(key);
  const branch: Branch = isBranch(existing) ? existing : { children: new Map() };
  if (leaf.document !== undefined) branch.place ??= `${leaf.document}#${pointer}`;
  parent.children.set(key, branch);
  return branch;
}

export const keysOf = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((key) => key.replace(/~1/g, "/").replace(/~0/g, "~"));

/** The node at a path of keys. */
export function nodeAt(root: Node | undefined, ...keys: readonly string[]): Node | undefined {
  let node = root;
  for (const key of keys) node = isBranch(node) ? node.children.get(key) : undefined;
  return node;
}

/** The keys of an object, in order; none for anything else. */
export const childrenOf = (node: Node | undefined): ReadonlyMap<string, Node> => (isBranch(node) ? node.children : new Map());

/** All leaves beneath a node. */
export function leavesOf(node: Node | undefined): Leaf[] {
  if (node === undefined) return [];
  return isBranch(node) ? [...node.children.values()].flatMap(leavesOf) : [node];
}

/** Where a node stands. */
export function placeOf(node: Node | undefined, otherwise: string): string {
  return (isBranch(node) ? (node.place ?? leavesOf(node)[0]?.place) : node?.place) ?? otherwise;
}
