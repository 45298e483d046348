import { hostname } from "node:os";
import { type Composed, impliedBindings, orderComposed } from "./compose.ts";
import { ourVariables, readEnvironment, VariableTable } from "./env.ts";
import { evaluate, type Findings, listUnused, type Surroundings } from "./evaluate.ts";
import { type Branch, childrenOf, isBranch, merge, nodeAt } from "./layers.ts";
import type { Sources } from "./load.ts";
import { bindingVariable, camel, escapePointer, isKubernetesLink, quoted, variableOf } from "./names.ts";
import {
  addBindingVariables,
  addOptionVariables,
  checkOutline,
  composedMessage,
  isComposed,
  type PlannedBinding,
  type PlannedProvider,
  planBindings,
  planProviders,
  referencedVariables,
} from "./plan.ts";
import { mask, redact } from "./secrets.ts";
import { sectionNames, sections } from "./sections.ts";
import type { EffectiveValue, Problem, Resolution, ResolvedBinding, ResolvedConfig, ResolvedProvider, Vocabulary } from "./types.ts";
import { checkVocabulary, entrySchema, own, partsOf } from "./vocabulary.ts";

/** Pass 2: checks and completes everything with the schemas of the loaded plugins. Never throws; reports all problems at once. */
export function resolveConfig(sources: Sources, vocabulary: Vocabulary): Resolution {
  if (sources.incomplete) return { values: [], secrets: [], problems: tidy(sources.problems, []) };
  const { env, cwd, layers } = sources;
  const findings: Findings = {
    problems: [...sources.problems, ...checkVocabulary(vocabulary)],
    values: [],
    secrets: new Set(),
    failed: new Set(),
  };
  const { problems } = findings;
  const table = new VariableTable(problems);
  const input = { env, cwd, problems, failed: findings.failed };

  // Which providers are bound decides which variables there are, so bindings come first; what they find is found again.
  addBindingVariables(table, merge(layers), vocabulary, env);
  const outline = merge([...layers, readEnvironment(table, { ...input, problems: [], failed: new Set() })]);
  const { bindings: planned, unused } = planBindings(outline, vocabulary, problems);
  const providers = planProviders(outline, planned, vocabulary, problems);
  addOptionVariables(table, providers.values());

  const tree = merge([...layers, readEnvironment(table, input)]);
  const around: Surroundings = { ...findings, env, table, tree };
  checkOutline(outline, vocabulary, problems);
  const strays = unknownVariables(sources, vocabulary, table, providers, tree, problems);

  const general = resolveSections(around);
  const hasServiceName = nodeAt(tree, "service", "name") !== undefined;
  const implied = impliedBindings(planned, vocabulary, hasServiceName);
  const needing = planned.filter(({ protocol }) => protocol.needsServiceName === true).map(({ binding }) => binding);
  if (needing.length > 0 && !hasServiceName && !findings.failed.has("/service/name")) {
    problems.push({
      place: "HEXKIT_SERVICE_NAME",
      message: `is missing: ${needing.join(", ")} ${needing.length > 1 ? "need" : "needs"} the service's name (service.name)`,
    });
  }

  const resolvedProviders = [...providers.values()].map((provider) => resolveProvider(around, provider));
  const resolvedBindings = resolveBindings(around, planned, implied, providers);
  for (const protocol of unused)
    listUnused(findings, nodeAt(tree, "protocols", protocol), own(vocabulary.protocols, protocol)?.settings, `/protocols/${protocol}`);
  for (const [name, node] of childrenOf(nodeAt(tree, "providers"))) {
    if (providers.has(name)) continue;
    const plugin = nodeAt(node, "plugin");
    const specifier = plugin === undefined || isBranch(plugin) ? undefined : String(plugin.value);
    if (specifier !== undefined && plugin !== undefined && !isBranch(plugin)) {
      findings.values.push({ pointer: plugin.pointer, value: quotedName(specifier), secret: false, origin: plugin.origin, unused: true });
    }
    const schema = specifier === undefined ? undefined : own(vocabulary.plugins, specifier)?.options;
    listUnused(findings, nodeAt(node, "options"), schema, `/providers/${escapePointer(name)}/options`);
  }
  findings.values.push(...strays);

  const secrets = [...findings.secrets].sort((a, b) => b.length - a.length);
  const values = findings.values.map((value) => ({ ...value, pointer: redact(value.pointer, []), origin: redact(value.origin, []) }));
  const resolution = { values, secrets, problems: tidy(problems, secrets) };
  if (problems.length > 0) return resolution;
  return { config: { ...general, providers: resolvedProviders, bindings: resolvedBindings }, ...resolution };
}

const quotedName = (name: string): string => (quoted(name).startsWith('"') ? name : mask);

function tidy(problems: readonly Problem[], secrets: readonly string[]): Problem[] {
  const unique = new Map(
    problems.map(({ place, message }) => {
      const clean = { place: redact(place, secrets), message: redact(message, secrets) };
      return [`${clean.place}\n${clean.message}`, clean];
    }),
  );
  return [...unique.values()].sort(
    (a, b) => a.place.localeCompare(b.place, "en", { numeric: true }) || a.message.localeCompare(b.message, "en"),
  );
}

function resolveSections(around: Surroundings): Pick<ResolvedConfig, "service" | "log" | "lifecycle"> {
  const [service, log, lifecycle] = sectionNames.map((section) => {
    const node = nodeAt(around.tree, section);
    return evaluate(around, {
      node: isBranch(node) ? node : undefined,
      pointer: `/${section}`,
      schema: sections[section],
      subject: section,
      open: true,
    });
  });
  const fallback = (key: "name" | "instance", value: string): string => {
    if (typeof service?.[key] === "string") return service[key];
    around.values.push({
      pointer: `/service/${key}`,
      value,
      secret: false,
      origin: "default",
      variable: `HEXKIT_SERVICE_${key.toUpperCase()}`,
    });
    return value;
  };
  return {
    service: { name: fallback("name", "unnamed"), instance: fallback("instance", hostname().replace(/[^!-~]/g, "-") || "unknown") },
    log: log as ResolvedConfig["log"],
    lifecycle: lifecycle as ResolvedConfig["lifecycle"],
  };
}

function resolveProvider(around: Surroundings, { name, specifier, plugin, node }: PlannedProvider): ResolvedProvider {
  const pointer = `/providers/${name}/options`;
  const named = nodeAt(node, "plugin");
  const origin = named === undefined || isBranch(named) ? "default" : named.origin;
  around.values.push({ pointer: `/providers/${name}/plugin`, value: specifier, secret: false, origin });
  const options = nodeAt(around.tree, "providers", name, "options");
  // Anything but an object is reported with the outline.
  const usable = isBranch(options) ? options : undefined;
  const subject = `provider "${name}" (plugin ${specifier})`;
  return { name, plugin: specifier, options: evaluate(around, { node: usable, pointer, schema: plugin.options, subject }) };
}

function resolveBindings(
  around: Surroundings,
  planned: readonly PlannedBinding[],
  implied: readonly PlannedBinding[],
  providers: ReadonlyMap<string, PlannedProvider>,
): ResolvedBinding[] {
  const simple: ResolvedBinding[] = [];
  const composed: Composed[] = [];
  const settings = new Map<string, Record<string, unknown>>();
  for (const entry of [...planned, ...implied]) {
    const { binding, name, protocol, pointer, provider } = entry;
    const parts = partsOf(protocol);
    const schema = entrySchema(protocol);
    const node = nodeAt(around.tree, "protocols", binding);
    const rest = isBranch(node) ? { ...node, children: new Map([...node.children].filter(([key]) => key !== "provider")) } : undefined;
    if (provider !== undefined) {
      const used = [...providers.values()].find(
        (candidate) => candidate.name === provider.value || (candidate.node === undefined && candidate.specifier === provider.value),
      );
      around.values.push({
        pointer: `${pointer}/provider`,
        value: quotedName(provider.value),
        secret: false,
        origin: provider.origin,
        variable: bindingVariable(name),
      });
      const value = evaluate(around, { node: rest, pointer, schema, subject: binding });
      if (used !== undefined) simple.push({ binding, protocol: name.protocol, provider: used.name, settings: value });
    } else if (isComposed(protocol)) {
      const before = around.problems.length;
      const value = evaluate(around, { node: rest, pointer, schema, subject: binding });
      // No one asked for an implied binding: if it lacks a setting it is not there, which is no problem.
      if (implied.includes(entry) && around.problems.length > before && node === undefined) around.problems.length = before;
      else {
        const chosen = Object.keys(parts).filter((part) => typeof value[part] === "string");
        composed.push({ planned: entry, parts: Object.fromEntries(chosen.map((part) => [part, value[part] as string])) });
        settings.set(binding, Object.fromEntries(Object.entries(value).filter(([key]) => !Object.hasOwn(parts, key))));
      }
    }
  }
  const bound = [...planned.map(({ binding }) => binding), ...composed.map(({ planned: { binding } }) => binding)];
  const ordered = orderComposed(composed, [...new Set(bound)], around.problems);
  return [
    ...simple,
    ...ordered.map(({ planned: { binding, name }, parts }) => ({
      binding,
      protocol: name.protocol,
      parts,
      settings: settings.get(binding) ?? {},
    })),
  ];
}

/** Reports variables that mean nothing, and lists those that would, if something else were bound. */
function unknownVariables(
  { env }: Sources,
  vocabulary: Vocabulary,
  table: VariableTable,
  providers: ReadonlyMap<string, PlannedProvider>,
  tree: Branch,
  problems: Problem[],
): EffectiveValue[] {
  const referenced = referencedVariables(tree);
  const declared = [...childrenOf(nodeAt(tree, "providers")).keys()];
  const strict = [...providers.keys(), ...Object.keys(vocabulary.protocols), ...sectionNames];
  const lax = [...declared, ...vocabulary.builtinPlugins, ...Object.values(vocabulary.plugins).map(({ name }) => name)].filter(
    (name) => !strict.includes(name),
  );
  const composed = Object.entries(vocabulary.protocols).filter(([, protocol]) => isComposed(protocol));
  const values: EffectiveValue[] = [];
  for (const [name, text] of ourVariables(env)) {
    if (table.get(name) !== undefined || referenced.has(name) || isKubernetesLink(name, text)) continue;
    const [head, named, ...more] = name.split("__");
    const bare = more.length > 0 ? undefined : composed.find(([protocol]) => head === variableOf(protocol));
    if (bare !== undefined) {
      const bindingName = camel(named ?? "");
      problems.push({
        place: name,
        message: composedMessage({ protocol: bare[0], ...(bindingName === undefined ? {} : { name: bindingName }) }, bare[1]),
      });
      continue;
    }
    // The longest name that fits is the one that is meant.
    const owner = [...strict, ...lax]
      .filter((candidate) => name.startsWith(`${variableOf(candidate)}_`))
      .sort((a, b) => b.length - a.length)[0];
    if (owner === undefined || strict.includes(owner)) problems.push({ place: name, message: table.unknown(name) });
    else {
      const rest = name.slice(variableOf(owner).length + 1);
      values.push({
        pointer: `/providers/${owner}/options/${camel(rest) ?? rest.toLowerCase()}`,
        value: mask,
        secret: true,
        origin: `environment ${name}`,
        variable: name,
        unused: true,
      });
    }
  }
  return values;
}
