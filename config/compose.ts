import { childrenOf, isBranch, nodeAt, placeOf } from "./layers.ts";
import { bindingVariable, escapePointer, parseBinding, quoted, settingPrefix, snake } from "./names.ts";
import { isComposed, type PlannedBinding } from "./plan.ts";
import { hint } from "./suggest.ts";
import type { Problem, Vocabulary } from "./types.ts";

/**
 * The unnamed composed bindings that no one mentions: there when all their parts are. One that needs a service name
 * is left out without one: nobody asked for it, so it must not make the start fail.
 */
export function impliedBindings(bindings: readonly PlannedBinding[], vocabulary: Vocabulary, hasServiceName: boolean): PlannedBinding[] {
  const known = new Set(bindings.map(({ binding }) => binding));
  const implied: PlannedBinding[] = [];
  for (let before = -1; before !== implied.length; ) {
    before = implied.length;
    for (const [name, protocol] of Object.entries(vocabulary.protocols)) {
      const parts = Object.values(protocol.composes ?? {});
      if (!isComposed(protocol) || known.has(name) || !parts.every((part) => known.has(part))) continue;
      if (protocol.needsServiceName === true && !hasServiceName) continue;
      known.add(name);
      implied.push({ binding: name, name: { protocol: name }, protocol, pointer: `/protocols/${escapePointer(name)}`, node: undefined });
    }
  }
  return implied;
}

export interface Composed {
  readonly planned: PlannedBinding;
  readonly parts: Readonly<Record<string, string>>;
}

/** Checks what composed bindings refer to, and brings them into an order in which each comes after what it refers to. */
export function orderComposed(composed: readonly Composed[], bound: readonly string[], problems: Problem[]): Composed[] {
  const byName = new Map(composed.map((entry) => [entry.planned.binding, entry]));
  for (const entry of composed) for (const part of Object.keys(entry.parts)) checkPart(entry, part, bound, problems);
  const ordered: Composed[] = [];
  const done = new Set<string>();
  const visit = (entry: Composed, path: readonly string[]): void => {
    const { binding } = entry.planned;
    if (path.includes(binding)) {
      const cycle = [...path.slice(path.indexOf(binding)), binding];
      problems.push({
        place: placeOf(entry.planned.node, bindingVariable(entry.planned.name)),
        message: `is composed of itself: ${cycle.join(" → ")}`,
      });
      return;
    }
    if (done.has(binding)) return;
    for (const part of Object.values(entry.parts)) {
      const next = byName.get(part);
      if (next !== undefined) visit(next, [...path, binding]);
    }
    if (!done.has(binding)) ordered.push(entry);
    done.add(binding);
  };
  for (const entry of composed) visit(entry, []);
  return ordered;
}

function checkPart({ planned, parts }: Composed, part: string, bound: readonly string[], problems: Problem[]): void {
  const { name, node, protocol, binding } = planned;
  const target = parts[part] as string;
  const wanted = protocol.composes?.[part] as string;
  const set = childrenOf(node).get(part) ?? (isBranch(node) && node.place !== undefined ? node : undefined);
  const place = placeOf(set, settingPrefix(name) + snake(part));
  const refuse = (message: string): void => void problems.push({ place, message });
  const fitting = bound.filter((known) => parseBinding(known)?.protocol === wanted);
  const targetName = parseBinding(target);
  if (targetName?.protocol !== wanted)
    refuse(
      `${part} of ${binding} must be a binding of ${wanted}, such as ${JSON.stringify(wanted)}, not ${quoted(target)}${hint(target, fitting)}`,
    );
  else if (!bound.includes(target)) {
    const way =
      nodeAt(node, part) === undefined
        ? `; bind it by ${bindingVariable(targetName)}, or choose another by "${part}"`
        : hint(target, fitting);
    refuse(`${binding} is composed of ${quoted(target)}, which is not bound${way}`);
  }
}
