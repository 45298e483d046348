import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { installation } from "./installation.ts";

/** What to write. */
export interface Scaffold {
  /** Folders of this package whose files are copied. Of the last, which is no template, only the sources. */
  readonly from: readonly string[];
  /** Name of the folder, unless another is chosen. */
  readonly into: string;
  /** Names in the templates → those to put there. Longer ones go first. */
  readonly names: Readonly<Record<string, string>>;
  /** Commands to go on with. */
  readonly next: readonly string[];
}

/** Writes the files of a scaffold, all or, where one of them is there already and may not be replaced, none. Paths are relative to `folder`. */
export function scaffold(
  plan: Scaffold,
  folder: string,
  force: boolean,
): { readonly files: readonly string[] } | { readonly problem: string } {
  const home = installation();
  const names: Readonly<Record<string, string>> = { ...plan.names, "0.0.0-hexkit": `^${home.version}` };
  const files = new Map<string, string>();
  for (const from of plan.from) {
    for (const path of filesIn(join(home.folder, from))) {
      const isTemplate = from.startsWith("cli/templates/");
      if (!isTemplate && !path.endsWith(".ts")) continue;
      // Under their own names these would be left out of a package, or would mean something where they are.
      const target = isTemplate ? path.replace(/(^|\/)_/, "$1") : path;
      files.set(target, filled(readFileSync(join(home.folder, from, path), "utf8"), names));
    }
  }
  if (existsSync(folder) && !statSync(folder).isDirectory()) return { problem: `${folder} is a file: choose another --directory` };
  const there = [...files.keys()].filter((path) => existsSync(join(folder, path)));
  if (there.length > 0 && !force) {
    return { problem: `${folder} has ${there.join(", ")} already: choose another --directory, or replace them with --force` };
  }
  try {
    for (const [path, text] of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text, { flag: force ? "w" : "wx" });
    }
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    return { problem: `${path ?? folder} cannot be written (${code ?? String(error)}): choose another --directory` };
  }
  return { files: [...files.keys()].sort() };
}

/** A template's text with the names exchanged, without what only our documents need. */
function filled(text: string, names: Readonly<Record<string, string>>): string {
  const known = Object.keys(names).sort((a, b) => b.length - a.length);
  const pattern = new RegExp(known.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
  return text
    .replace(/^ *\/\/ #(region|endregion).*\n/gm, "")
    .replace(/"(?:\.\.\/)+examples\/[a-z-]+\//g, '"../')
    .replace(pattern, (name) => names[name] ?? name);
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes(`${sep}node_modules`, folder.length))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}
