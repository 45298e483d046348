import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseJson } from "./json.ts";
import { flatten, isObject, isReference, type Leaf } from "./layers.ts";
import { escapePointer, quoted } from "./names.ts";
import { references } from "./references.ts";
import type { PluginReference, Problem, ReadInput } from "./types.ts";

/** What pass 1 has read: the files, taken apart, and the environment. */
export interface Sources {
  /** The files in the order in which they are laid over each other. */
  readonly files: readonly string[];
  /** What could not be read. `resolveConfig` reports these too. */
  readonly problems: readonly Problem[];
  /** A file is missing or is not JSON: what it says is unknown, so `resolveConfig` reports nothing but that. */
  readonly incomplete: boolean;
  readonly layers: readonly (readonly Leaf[])[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /**
   * The plugins to load: those of bound providers, and those that a variable of a yet unknown protocol may name.
   * `builtinPlugins` are the short names that can be loaded, of this package or handed over.
   */
  references(knownProtocols: readonly string[], builtinPlugins: readonly string[]): readonly PluginReference[];
}

interface Reading {
  readonly files: string[];
  readonly problems: Problem[];
  readonly layers: Leaf[][];
  incomplete: boolean;
}

const defaultFile = "hexkit.config.json";

/** Pass 1: finds and reads the configuration's files. Never throws; what is wrong stands in `problems`. */
export function readSources(input: ReadInput): Sources {
  const { cwd, env } = input;
  const reading: Reading = { files: [], problems: [], layers: [], incomplete: false };
  const given: unknown = input.config ?? undefined;
  if (given !== undefined && typeof given !== "string" && typeof given !== "object") {
    reading.problems.push({ place: "config", message: `must be a path or an object, but is of type ${typeof given}` });
    reading.incomplete = true;
  } else if (typeof input.config === "object" && input.config !== null) {
    addDocument(reading, "config", copy(input.config, "", reading.problems, new Set()), cwd);
  } else {
    const named = listed(input.config) ?? listed(env.HEXKIT_CONFIG);
    const from = listed(input.config) === undefined ? "HEXKIT_CONFIG" : "config";
    for (const path of named ?? [defaultFile]) readFile(reading, path, cwd, named === undefined ? undefined : from);
  }
  const { files, problems, layers, incomplete } = reading;
  return {
    files,
    problems,
    incomplete,
    layers,
    env,
    cwd,
    references: (protocols, plugins) => references({ layers, env, cwd }, protocols, plugins),
  };
}

function listed(paths: string | null | undefined): string[] | undefined {
  const list = (paths ?? "")
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== "");
  return list.length === 0 ? undefined : list;
}

function readFile(reading: Reading, path: string, cwd: string, namedBy: string | undefined): void {
  const full = resolve(cwd, path);
  let text: string;
  try {
    text = readFileSync(full, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "error";
    if (code === "ENOENT" && namedBy === undefined) return;
    const reason = code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`;
    reading.problems.push({ place: namedBy ?? path, message: `file ${quoted(path)}: ${reason}` });
    reading.incomplete = true;
    return;
  }
  reading.files.push(full);
  const parsed = parseJson(text);
  for (const { line, column, message } of parsed.problems) reading.problems.push({ place: `${path}:${line}:${column}`, message });
  if (!("value" in parsed)) reading.incomplete = true;
  else addDocument(reading, path, parsed.value, dirname(full));
}

function addDocument(reading: Reading, document: string, value: unknown, folder: string): void {
  if (!isObject(value) || isReference(value)) {
    reading.problems.push({
      place: `${document}#`,
      message: "must be an object with the keys service, log, lifecycle, providers, protocols",
    });
    reading.incomplete = true;
    return;
  }
  const leaf = (pointer: string, leafValue: unknown): Leaf => {
    const place = `${document}#${pointer}`;
    return { pointer, value: leafValue, place, origin: `file ${place}`, document, folder };
  };
  reading.layers.push(flatten(value, "", leaf).map(withProvider));
}

/** `"dao": "memory"` means `"dao": { "provider": "memory" }`; in that form it merges with settings from elsewhere. */
function withProvider(leaf: Leaf): Leaf {
  return typeof leaf.value === "string" && /^\/protocols\/[^/]+$/.test(leaf.pointer)
    ? { ...leaf, pointer: `${leaf.pointer}/provider` }
    : leaf;
}

/** Copies a configuration handed over as an object, refusing what JSON could not say. */
function copy(value: unknown, pointer: string, problems: Problem[], above: Set<unknown>): unknown {
  const refuse = (message: string): undefined => {
    problems.push({ place: `config#${pointer}`, message });
    return undefined;
  };
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : refuse("must be a finite number");
  if (typeof value !== "object") return refuse(`must be JSON, but is of type ${typeof value}`);
  if (above.has(value)) return refuse("must not contain itself");
  above.add(value);
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  const copied: [string, unknown][] = [];
  for (const [key, child] of entries) {
    if (key === "__proto__") refuse('the key "__proto__" is not allowed');
    else if (child !== undefined) copied.push([String(key), copy(child, `${pointer}/${escapePointer(String(key))}`, problems, above)]);
  }
  above.delete(value);
  return Array.isArray(value) ? copied.map(([, child]) => child) : Object.fromEntries(copied);
}
