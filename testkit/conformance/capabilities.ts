import assert from "node:assert/strict";

/** The title of a test that is about a capability; `undefined` if the subject is not to be tested with it. */
export function capabilityTitle<Name extends string>(
  title: string,
  expects: Readonly<Record<Name, unknown>>,
  { needs, lacks }: { readonly needs?: Name | undefined; readonly lacks?: Name | undefined },
): string | undefined {
  if (needs !== undefined) return expects[needs] ? `${title} (capability ${needs})` : undefined;
  if (lacks !== undefined) return expects[lacks] ? undefined : `${title} (no capability ${lacks})`;
  return title;
}

/** Fails, naming the capability, where what a driver declares is not what its author expects. */
export function checkCapabilities(declared: object, expected: object): void {
  const [are, should] = [new Map<string, unknown>(Object.entries(declared)), new Map<string, unknown>(Object.entries(expected))];
  for (const name of new Set([...should.keys(), ...are.keys()])) {
    const fact = `capability ${name}: the driver declares ${are.get(name)}, the subject expects ${should.get(name)}`;
    assert.equal(are.get(name), should.get(name), fact);
  }
}
