import { parseSync } from "oxc-parser";

/** Everything the rules look at: a map of sources and what the package makes public. */
export interface House {
  /** Path from the root, with `/` → source text. */
  readonly files: ReadonlyMap<string, string>;
  /** Public name → the source file behind it: `hexkit/testkit` → `testkit/index.ts`. */
  readonly publicNames: ReadonlyMap<string, string>;
  /** Packages that plugins talk to, those of examples too. */
  readonly driverPackages: readonly string[];
}

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** The only files of core that know config. */
const configReaders = ["core/configuration.ts", "core/inspection.ts", "core/registry.ts"];

/** What core may load: `eager` at import, `lazy` by `import()` or `createRequire(…)("…")`; types are free in the same files. */
const corePackages: Readonly<
  Record<string, { readonly eager?: boolean | readonly string[]; readonly lazy?: boolean; readonly only?: readonly string[] }>
> = {
  "@opentelemetry/api": { eager: true, lazy: true },
  "json-schema-to-ts": {},
  pino: { lazy: true },
  tsyringe: { eager: ["core/inject.ts"], lazy: true },
  "reflect-metadata": { eager: ["core/inject.ts"], lazy: true, only: ["core/inject.ts", "core/container.ts"] },
  ajv: { lazy: true, only: ["core/schema.ts"] },
  "ajv-formats": { lazy: true, only: ["core/schema.ts"] },
};
const configPackages = ["convict", "ajv", "ajv-formats"];
/** Light enough to be loaded by `import "hexkit"`. */
const lightPackages = ["@opentelemetry/api"];

/** Where a module may be imported by a computed name. */
const computedImports = /^(core\/loader\.ts|(test|bench|cli)\/)/;
/** The beginning of a computed name that says which package it is. Names of our own say nothing: they stand for any plugin. */
const packageHead = /^(?!hexkit\/)(?:@[^./][^/]*\/)?[^@./][^/]*\//;
/** Where a third-party plugin module's default export stands. */
const defaultExports =
  /^(test\/.*\/fixtures\/|(examples\/(file-system-storage|nats-jetstream)|cli\/templates\/(event-publisher|own-protocol))\/index\.ts$)/;
/** What `hexkit init` copies: as strangers will have it, and not ours to use. */
const templates = /^cli\/templates\//;

const technologies = /kafka|minio|mongo|redis(?!tri|play|cover|cuss|ea|en)|(?<![a-z0-9])s3(?![a-z0-9])|S3(?=[A-Z])/gi;
/** Code of core and config that may name a technology: the short names of our own plugins. */
const namesTechnologies = ["core/loader.ts"];

interface Import {
  readonly file: string;
  readonly line: number;
  /** `undefined` for a computed one. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
  /** By `import()`. */
  readonly lazy: boolean;
}

type Target =
  | { readonly kind: "file"; readonly path: string; readonly viaName: boolean }
  | { readonly kind: "missing"; readonly path: string }
  | { readonly kind: "node" }
  | { readonly kind: "package"; readonly name: string }
  | { readonly kind: "computed" };

interface Module {
  readonly imports: readonly Import[];
  readonly violations: readonly Violation[];
}

/** Every breach of the house rules (design, section 2), in order of files and lines. */
export function checkHouse(house: House): Violation[] {
  const violations: Violation[] = [];
  const edges: { from: string; to: string; import: Import }[] = [];
  const modules = new Map<string, Module>();
  for (const [file, source] of house.files) {
    const module = read(file, source, house);
    modules.set(file, module);
    violations.push(...module.violations, ...namedTechnologies(file, source));
    for (const found of module.imports) {
      const target = resolve(found, house);
      if (target.kind === "file") edges.push({ from: file, to: target.path, import: found });
      const message = refusal(found, target, house);
      if (message !== undefined) {
        violations.push({ file, line: found.line, rule: "imports", message: `${found.specifier ?? "a computed import"}: ${message}` });
      }
    }
  }
  violations.push(...heavyFrontDoor(modules, edges, house));
  violations.push(...cycles(edges));
  return violations.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

/** Why an import is not allowed, or `undefined`. */
function refusal(found: Import, target: Target, house: House): string | undefined {
  const from = found.file;
  if (target.kind === "missing") return `there is no ${target.path}`;
  if (target.kind === "computed") return computedImports.test(from) ? undefined : "only core/loader.ts loads by a computed name";
  const room = from.slice(0, from.indexOf("/"));
  if (templates.test(from)) return refusalOfExample(found, target, house);
  if (target.kind === "file" && target.viaName && ["core", "config", "plugins", "testkit", "cli"].includes(room)) {
    return "inside the package files are imported by path";
  }
  if (/^core\/protocols\/[^/]+\/driver\.ts$/.test(from)) {
    const typesOfCore = found.typeOnly && target.kind === "file" && target.path.startsWith("core/");
    return typesOfCore ? undefined : "a driver contract imports types of core only";
  }
  switch (room) {
    case "config":
      if (target.kind === "node" || (target.kind === "file" && target.path.startsWith("config/"))) return undefined;
      return target.kind === "package" && configPackages.includes(target.name)
        ? undefined
        : `config knows itself, node: and ${configPackages.join(", ")}`;
    case "core":
      return refusalOfCore(found, target);
    case "plugins":
      return refusalOfPlugin(found, target);
    case "testkit":
      if (target.kind === "node") return undefined;
      if (target.kind === "package" && target.name === "testcontainers" && from === "testkit/containers/client.ts" && found.lazy)
        return undefined;
      return target.kind === "file" &&
        (/^testkit\//.test(target.path) ||
          ["core/index.ts", "core/inside.ts", "config/index.ts", "plugins/memory/index.ts"].includes(target.path))
        ? undefined
        : "testkit knows itself, node: and the front doors of core, config and plugins/memory";
    case "cli":
      if (target.kind === "node" || (target.kind === "package" && target.name === "commander")) return undefined;
      return target.kind === "file" &&
        ((/^cli\//.test(target.path) && !templates.test(target.path)) || ["core/index.ts", "config/index.ts"].includes(target.path))
        ? undefined
        : "cli knows itself, node:, commander and the front doors of core and config";
    case "examples":
      return refusalOfExample(found, target, house);
    case "bench":
      return target.kind === "file" && /^(test|examples)\//.test(target.path) ? "bench knows neither tests nor examples" : undefined;
    case "test":
      return undefined;
    default:
      return `${room} is no room of the house`;
  }
}

function refusalOfCore(found: Import, target: Target): string | undefined {
  if (target.kind === "node") return undefined;
  if (target.kind === "file") {
    if (target.path.startsWith("core/")) return undefined;
    if (target.path !== "config/index.ts") return "core knows itself and config/index.ts";
    return configReaders.includes(found.file) ? undefined : `only ${configReaders.join(", ")} knows config`;
  }
  if (target.kind !== "package") return undefined;
  const rule = corePackages[target.name];
  if (rule === undefined) return "core does not use this package (design, section 9)";
  if (rule.only !== undefined && !rule.only.includes(found.file)) return `only ${rule.only.join(", ")} uses it`;
  if (found.typeOnly) return undefined;
  if (found.lazy) return rule.lazy === true ? undefined : "types only";
  const eager = rule.eager === true || (Array.isArray(rule.eager) && rule.eager.includes(found.file));
  return eager ? undefined : rule.lazy === true ? "load it by import()" : "types only";
}

function refusalOfPlugin(found: Import, target: Target): string | undefined {
  const folder = found.file.split("/").slice(0, 2).join("/");
  if (target.kind === "node") return undefined;
  if (target.kind === "file") {
    const known = target.path === "core/index.ts" || target.path.startsWith(`${folder}/`);
    return known ? undefined : "a plugin knows itself and core/index.ts";
  }
  if (found.file !== `${folder}/client.ts`) return "the plugin's package is known to client.ts only";
  return found.typeOnly || found.lazy ? undefined : "load it by import(), when the plugin opens";
}

function refusalOfExample(found: Import, target: Target, house: House): string | undefined {
  const example = found.file
    .split("/")
    .slice(0, templates.test(found.file) ? 3 : 2)
    .join("/");
  const domain = new RegExp(`^${example}/(core|ports)/`);
  if (domain.test(found.file)) {
    if (target.kind === "file") return domain.test(target.path) ? undefined : "the domain core and its ports know only themselves";
    if (target.kind === "package" && (target.name === "hexkit" || house.driverPackages.includes(target.name))) {
      return "the domain core and its ports know no technology and no hexkit";
    }
    return undefined;
  }
  if (target.kind === "file") {
    // `hexkit init` copies that example into a plugin, and the test beside it.
    const copied = example === "cli/templates/object-storage" && target.path.startsWith("examples/file-system-storage/");
    return target.viaName || copied || target.path.startsWith(`${example}/`)
      ? undefined
      : "an example knows itself and hexkit's public names";
  }
  if (target.kind !== "package") return undefined;
  if (target.name === "hexkit") return "not a public name of hexkit";
  if (!house.driverPackages.includes(target.name)) return undefined;
  if (found.file !== `${example}/client.ts`) return "an example never talks to a technology itself, but for the client.ts of a plugin";
  return found.typeOnly || found.lazy ? undefined : "load it by import(), when the plugin opens";
}

function resolve(found: Import, house: House): Target {
  const { specifier, file } = found;
  if (specifier === undefined) return { kind: "computed" };
  if (specifier.startsWith("node:")) return { kind: "node" };
  if (/^\.{0,2}\//.test(specifier)) {
    const parts = specifier.startsWith("/") ? [] : file.split("/").slice(0, -1);
    for (const part of specifier.split("/")) {
      if (part === "..") parts.pop();
      else if (part !== "." && part !== "") parts.push(part);
    }
    const path = parts.join("/");
    return house.files.has(path) || !/\.ts$/.test(path) ? { kind: "file", path, viaName: false } : { kind: "missing", path };
  }
  const publicFile = house.publicNames.get(specifier);
  if (publicFile !== undefined) return { kind: "file", path: publicFile, viaName: true };
  return {
    kind: "package",
    name: specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/"),
  };
}

type Node = { readonly type: string; readonly start: number } & Readonly<Record<string, unknown>>;

/** The imports of one file, and what is wrong with the file by itself: default exports, barrels, syntax. */
function read(file: string, source: string, house: House): Module {
  const { program, errors } = parseSync(file, source);
  const lineOf = (offset: number): number => source.slice(0, offset).split("\n").length;
  const violations: Violation[] = errors.map((error) => ({ file, line: 1, rule: "syntax", message: error.message }));
  const imports: Import[] = [];
  const imported = new Set<string>();
  const isFrontDoor =
    file === "config/index.ts" || /^cli\/templates\/[^/]+\/index\.ts$/.test(file) || [...house.publicNames.values()].includes(file);

  const add = (node: Node, from: unknown, typeOnly: boolean, lazy = false): void => {
    imports.push({ file, line: lineOf(node.start), specifier: literal(from), typeOnly, lazy });
  };
  const breach = (node: Node, rule: string, message: string): void => {
    violations.push({ file, line: lineOf(node.start), rule, message });
  };
  const reExport = (node: Node, star: boolean): void => {
    if (star) breach(node, "barrels", "re-exports are named one by one");
    else if (!isFrontDoor) breach(node, "barrels", "only a front door re-exports");
  };
  const defaultExport = (node: Node): void => {
    if (!defaultExports.test(file)) breach(node, "default exports", "no default exports");
  };

  walk(program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
        for (const specifier of node.specifiers as { local: { name: string } }[]) imported.add(specifier.local.name);
        add(node, node.source, node.importKind === "type");
        break;
      case "ExportAllDeclaration":
        add(node, node.source, node.exportKind === "type");
        reExport(node, true);
        break;
      case "ExportNamedDeclaration": {
        const specifiers = node.specifiers as { local: { name?: string }; exported: { name?: string } }[];
        if (specifiers.some(({ exported }) => exported.name === "default")) defaultExport(node);
        if (node.source !== null) {
          add(node, node.source, node.exportKind === "type");
          reExport(node, false);
        } else if (specifiers.some(({ local }) => local.name !== undefined && imported.has(local.name))) reExport(node, false);
        break;
      }
      case "ExportDefaultDeclaration":
      case "TSExportAssignment":
        defaultExport(node);
        break;
      case "ImportExpression":
        add(node, node.source, false, true);
        break;
      case "TSImportType":
        add(node, node.source, true);
        break;
      case "TSImportEqualsDeclaration": {
        const reference = node.moduleReference as Node;
        if (reference.type === "TSExternalModuleReference") add(node, reference.expression, node.importKind === "type");
        break;
      }
      case "CallExpression": {
        const callee = node.callee as Node;
        const [target] = node.arguments as unknown[];
        if (callee.type === "Identifier" && callee.name === "require") add(node, target, false);
        if (callee.type === "CallExpression" && (callee.callee as { name?: string }).name === "createRequire")
          add(node, target, false, true);
        break;
      }
    }
  });
  if (file === "core/index.ts") {
    for (const node of program.body as unknown as Node[]) {
      if (node.type === "ExportAllDeclaration" || (node.type === "ExportNamedDeclaration" && node.source !== null)) continue;
      breach(node, "front door", "core/index.ts holds named re-exports and nothing else");
    }
  }
  return { imports, violations };
}

/** The text of a string literal or of a template. */
function literal(node: unknown): string | undefined {
  const { type, value, quasis } = (node ?? {}) as { type?: string; value?: unknown; quasis?: { value: { cooked: string } }[] };
  if (type === "Literal" && typeof value === "string") return value;
  const head = type === "TemplateLiteral" ? quasis?.[0]?.value.cooked : undefined;
  // With holes it is known as far as the package: `nats/lib/${file}.js`.
  return quasis?.length === 1 || packageHead.test(head ?? "") ? head : undefined;
}

function walk(value: unknown, visit: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit);
  } else if (typeof value === "object" && value !== null) {
    if (typeof (value as { type?: unknown }).type === "string") visit(value as Node);
    for (const item of Object.values(value)) if (typeof item === "object") walk(item, visit);
  }
}

/** A package too heavy for `import "hexkit"`, reached from core/index.ts without `import()`. */
function heavyFrontDoor(
  modules: ReadonlyMap<string, Module>,
  edges: readonly { from: string; to: string; import: Import }[],
  house: House,
): Violation[] {
  const eager = edges.filter((edge) => !edge.import.typeOnly && !edge.import.lazy);
  const reached = new Set(["core/index.ts"]);
  for (const file of reached) for (const edge of eager) if (edge.from === file) reached.add(edge.to);
  return [...reached].flatMap((file) =>
    (modules.get(file)?.imports ?? []).flatMap((found) => {
      const target = resolve(found, house);
      if (found.typeOnly || found.lazy || target.kind !== "package" || lightPackages.includes(target.name)) return [];
      return [{ file, line: found.line, rule: "light front door", message: `import "hexkit" would load ${target.name}` }];
    }),
  );
}

/** Groups of files that import each other, by types alone or not. */
function cycles(edges: readonly { from: string; to: string; import: Import }[]): Violation[] {
  const inValues = new Set(groups(edges.filter((edge) => !edge.import.typeOnly)).flat());
  return groups(edges).map((group) => ({
    file: group[0] as string,
    line: 1,
    rule: "cycles",
    message: `a cycle${group.some((file) => inValues.has(file)) ? "" : " of types"}: ${group.join(", ")}`,
  }));
}

function groups(edges: readonly { from: string; to: string }[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) next.set(from, (next.get(from) ?? new Set()).add(to));
  const reachable = (start: string): Set<string> => {
    const seen = new Set<string>(next.get(start));
    for (const file of seen) for (const to of next.get(file) ?? []) seen.add(to);
    return seen;
  };
  const closure = new Map([...next.keys()].map((file) => [file, reachable(file)]));
  const done = new Set<string>();
  return [...closure].flatMap(([file, reach]) => {
    if (done.has(file) || !reach.has(file)) return [];
    const group = [...reach].filter((other) => closure.get(other)?.has(file)).sort();
    for (const member of group) done.add(member);
    return [group];
  });
}

/**
 * Technologies named in core or config. Allowed are examples: in a doc comment between backticks or quotes, in a
 * message after "such as".
 */
function namedTechnologies(file: string, source: string): Violation[] {
  if (!/^(core|config)\//.test(file) || !/\.ts$/.test(file)) return [];
  const found: Violation[] = [];
  if (file.search(technologies) >= 0) found.push({ file, line: 1, rule: "technologies", message: "the file's name is a technology's" });
  if (namesTechnologies.includes(file)) return found;
  const docs = parseSync(file, source).comments.filter((comment) => comment.type === "Block" && comment.value.startsWith("*"));
  for (const match of source.matchAll(technologies)) {
    const start = match.index;
    const lineStart = source.lastIndexOf("\n", start) + 1;
    const before = source.slice(lineStart, start);
    const inDoc = docs.some((comment) => comment.start <= start && start < comment.end);
    const quoted = ["`", '"'].some((quote) => before.split(quote).length % 2 === 0);
    if ((inDoc && quoted) || /such as [`"'\\]*$/.test(before)) continue;
    found.push({ file, line: source.slice(0, start).split("\n").length, rule: "technologies", message: `${match[0]} is named` });
  }
  return found;
}
