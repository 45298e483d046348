import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");
const updating = process.env.UPDATE === "1";

/** Asserts that a file of the project has this text; with UPDATE=1 writes it. */
export function generated(path: string, text: string): void {
  const file = join(root, path);
  const current = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  if (current === text) return;
  if (updating) {
    writeFileSync(file, text);
    return;
  }
  // The whole text would bury the difference.
  const [are, should] = [current ?? "", text].map((whole) => whole.split("\n")) as [string[], string[]];
  const line = should.findIndex((wanted, index) => wanted !== are[index]);
  const at = line < 0 ? should.length : line;
  assert.fail(`${path}:${at + 1} is not what the code says: npm run generate\n- ${are[at] ?? "(nothing)"}\n+ ${should[at] ?? "(nothing)"}`);
}

/** Like `generated`, for what stands between `<!-- generated: name -->` and `<!-- end -->`; the file must have both. */
export function generatedSection(path: string, name: string, text: string): void {
  const file = join(root, path);
  assert.ok(existsSync(file), `${path} is missing`);
  generated(path, withSection(readFileSync(file, "utf8"), name, text, path));
}

/** The document with the section's text exchanged. */
export function withSection(document: string, name: string, text: string, path = "the document"): string {
  const open = `<!-- generated: ${name} -->\n`;
  const start = document.indexOf(open);
  const end = document.indexOf("<!-- end -->", start);
  assert.ok(start >= 0 && end >= 0, `${path} has no section ${open.trim()} … <!-- end -->`);
  return `${document.slice(0, start + open.length)}\n${text.trim()}\n\n${document.slice(end)}`;
}

/** A Markdown table with aligned columns. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string => `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width)).join(" | ")} |`;
  const [first, ...rest] = cells as [string[], ...string[][]];
  return [line(first), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)].join("\n");
}

interface DocumentedProperty {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly writeOnly?: boolean;
  readonly items?: { readonly type?: unknown; readonly enum?: unknown };
  readonly properties?: Readonly<Record<string, DocumentedProperty>>;
}

/** The table of a plugin's options or a protocol's settings; `variable` gives the variable of a path such as `["sasl", "password"]`. */
export function propertyTable(
  schema: { readonly required?: readonly string[]; readonly properties: Readonly<Record<string, DocumentedProperty>> },
  variable: (path: readonly string[]) => string,
): string {
  const rows = Object.entries(schema.properties).flatMap(([name, property]) =>
    Object.entries(property.properties ?? { "": property }).map(([inner, leaf]) => {
      const path = inner === "" ? [name] : [name, inner];
      const standard = schema.required?.includes(name)
        ? "required"
        : leaf.default === undefined
          ? "none"
          : code(JSON.stringify(leaf.default));
      const secret = leaf.writeOnly ? `, or \`${variable(path)}_FILE\`` : "";
      return [code(path.join(".")), typeOf(leaf), standard, code(variable(path)) + secret, leaf.description ?? ""];
    }),
  );
  return table(["Name", "Type", "Default", "Variable", "Meaning"], rows);
}

/** The most milliseconds that a timer takes: no bound that anybody would run into. */
const longestMs = 2_147_483_647;

function typeOf({ type, enum: values, items, writeOnly, minimum, maximum }: DocumentedProperty): string {
  if (Array.isArray(values)) return values.map((value) => code(JSON.stringify(value))).join(" or ");
  const name =
    type === "array" ? `list of ${typeof items?.type === "string" ? items.type : "value"}s` : [type ?? "any"].flat().join(" or ");
  if (minimum !== undefined)
    return maximum === undefined || maximum === longestMs ? `${name} from ${minimum}` : `${name}, ${minimum} to ${maximum}`;
  return writeOnly ? `secret ${name}` : name;
}

const code = (text: string): string => `\`${text}\``;
