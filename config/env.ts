import { coerce } from "./coerce.ts";
import { flatten, type Leaf } from "./layers.ts";
import { escapePointer, isKubernetesLink, snake } from "./names.ts";
import { readSecretFile } from "./secrets.ts";
import { nearest } from "./suggest.ts";
import type { Problem, PropertySchema } from "./types.ts";

/** One variable and what it sets. */
export interface Variable {
  readonly name: string;
  readonly pointer: string;
  readonly schema: PropertySchema;
  /** For messages: `option "brokers" of provider "events"`. */
  readonly subject: string;
  /** It names a file that holds the value. */
  readonly fromFile: boolean;
}

/** Properties that share a place in the configuration and a beginning of their variables. */
export interface Scope {
  readonly pointer: string;
  /** `HEXKIT_EVENTS_` or `HEXKIT_OBJECT_STORAGE__ARCHIVE__`. */
  readonly prefix: string;
  readonly properties: Readonly<Record<string, PropertySchema>>;
  /** `(name) => subject`. */
  readonly subject: (name: string) => string;
}

/** The one table of all variables. Each variable means one thing; what would share one is a problem. */
export class VariableTable {
  readonly #variables = new Map<string, Variable>();
  readonly #byPointer = new Map<string, string>();
  readonly #problems: Problem[];

  constructor(problems: Problem[]) {
    this.#problems = problems;
  }

  add(variable: Variable): void {
    const { name, subject } = variable;
    const other = this.#variables.get(name);
    if (other !== undefined && other.subject !== subject) {
      this.#problems.push({ place: name, message: `would set both ${other.subject} and ${subject}: rename one of them` });
    } else if (name === "HEXKIT_CONFIG" || name.startsWith("HEXKIT_TEST_")) {
      this.#problems.push({ place: name, message: `is reserved, but would set ${subject}: rename that` });
    } else if (other === undefined) {
      this.#variables.set(name, variable);
      if (!variable.fromFile) this.#byPointer.set(variable.pointer, name);
    }
  }

  addScope(scope: Scope): void {
    for (const [key, schema] of Object.entries(scope.properties)) {
      const name = scope.prefix + snake(key);
      const pointer = `${scope.pointer}/${escapePointer(key)}`;
      const variable = { name, pointer, schema, subject: scope.subject(key), fromFile: false };
      this.add(variable);
      if (schema.writeOnly === true)
        this.add({ ...variable, name: `${name}_FILE`, subject: `the file of ${variable.subject}`, fromFile: true });
      if (schema.properties !== undefined) {
        this.addScope({ pointer, prefix: `${name}_`, properties: schema.properties, subject: (inner) => scope.subject(`${key}.${inner}`) });
      }
    }
  }

  get(name: string): Variable | undefined {
    return this.#variables.get(name);
  }

  /** The variable that sets what a pointer names. */
  nameFor(pointer: string): string | undefined {
    return this.#byPointer.get(pointer);
  }

  /** What to say about a variable that is not in the table. */
  unknown(name: string): string {
    const secret = name.endsWith("_FILE") ? this.#variables.get(name.slice(0, -"_FILE".length)) : undefined;
    if (secret !== undefined) return `unknown: only secrets are read from files; use ${secret.name}`;
    const near = nearest(name, this.#variables.keys());
    return near === undefined ? "unknown: no section, protocol or bound provider has it" : `unknown; did you mean ${near}?`;
  }
}

export interface EnvironmentInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly problems: Problem[];
  /** Pointers whose value is there but unusable. */
  readonly failed: Set<string>;
}

/** The variables of ours that are set, without those that are reserved. */
export function ourVariables(env: Readonly<Record<string, string | undefined>>): [name: string, value: string][] {
  return Object.entries(env)
    .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[0].startsWith("HEXKIT_"))
    .filter(([name]) => name !== "HEXKIT_CONFIG" && !name.startsWith("HEXKIT_TEST_"))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Reads what the table knows, in order of the names: so a variable for one key of an object comes after, and wins over, one for the whole. */
export function readEnvironment(table: VariableTable, input: EnvironmentInput): Leaf[] {
  return ourVariables(input.env).flatMap(([name, text]) => {
    const variable = table.get(name);
    if (variable === undefined) return [];
    const value = readVariable(variable, text, input);
    if (value === undefined) {
      input.failed.add(variable.pointer);
      return [];
    }
    return flatten(value.value, variable.pointer, (pointer, leafValue) => ({
      pointer,
      value: leafValue,
      place: name,
      origin: value.origin,
      folder: input.cwd,
      variable: name,
    }));
  });
}

function readVariable(
  variable: Variable,
  text: string,
  { env, cwd, problems }: EnvironmentInput,
): { value: unknown; origin: string } | undefined {
  const { name, schema, fromFile } = variable;
  let given = { text, origin: `environment ${name}` };
  if (fromFile) {
    const direct = name.slice(0, -"_FILE".length);
    if (env[direct] !== undefined) {
      problems.push({ place: name, message: `set together with ${direct}: remove one of them` });
      return undefined;
    }
    const fetched = readSecretFile(text, cwd);
    if ("problem" in fetched) {
      problems.push({ place: name, message: fetched.problem });
      return undefined;
    }
    given = { text: fetched.text, origin: `${fetched.origin} (by ${name})` };
  }
  const coerced = coerce(schema, given.text);
  if ("expected" in coerced) {
    problems.push({ place: name, message: `must be ${coerced.expected}${given.text === "" ? ", but is empty" : ""}` });
    return undefined;
  }
  return { value: coerced.value, origin: given.origin };
}

/** A variable that says something about a named binding: `HEXKIT_DAO__ORDERS` or `HEXKIT_DAO__ORDERS__SETTING`. */
export interface NamedVariable {
  readonly protocol: string;
  /** `ORDERS` */
  readonly name: string;
  /** `SETTING` */
  readonly setting?: string;
}

/** Takes the variables of named bindings apart. */
export function namedVariables(env: Readonly<Record<string, string | undefined>>, protocols: readonly string[]): NamedVariable[] {
  const bySnake = new Map(protocols.map((protocol) => [snake(protocol), protocol]));
  return ourVariables(env).flatMap(([variable, value]) => {
    const [head = "", name, setting, ...rest] = variable.slice("HEXKIT_".length).split("__");
    const protocol = bySnake.get(head);
    if (protocol === undefined || name === undefined || rest.length > 0 || isKubernetesLink(variable, value)) return [];
    return [{ protocol, name, ...(setting === undefined ? {} : { setting }) }];
  });
}
