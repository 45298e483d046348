import convict from "convict";
import { mask } from "./secrets.ts";
import type { EffectiveValue } from "./types.ts";

/** The effective configuration as text, one value a line with its origin, secrets masked. */
export function describeValues(values: readonly EffectiveValue[]): string {
  // convict reads dots as steps, so the values go by number.
  const store = convict<Record<string, unknown>>(
    Object.fromEntries(
      values.map(({ value, secret }, index) => [`v${index}`, { default: [value], format: "*", sensitive: secret && value === mask }]),
    ),
    { env: {}, args: [] },
  );
  const shown = JSON.parse(store.toString()) as Record<string, unknown>;
  return values
    .map(({ pointer, origin, unused }, index) => {
      const value = shown[`v${index}`];
      const text = Array.isArray(value) ? JSON.stringify(value[0]) : mask;
      return { pointer, line: `${pointer} = ${text}  (${origin}${unused === true ? ", unused" : ""})` };
    })
    .sort((a, b) => (a.pointer < b.pointer ? -1 : 1))
    .map(({ line }) => line)
    .join("\n");
}
