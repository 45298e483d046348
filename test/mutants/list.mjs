import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
export const outcomeFile = join(folder, "outcome.json");

/** All mutants, each with what its file says of all of them. */
export function readMutants() {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json") && join(folder, name) !== outcomeFile);
  return files.sort().flatMap((name) => {
    const { mutants, ...common } = JSON.parse(readFileSync(join(folder, name), "utf8"));
    return mutants.map((mutant) => ({ ...common, ...mutant }));
  });
}

/** What became of each, by its key. */
export function readOutcome() {
  return existsSync(outcomeFile) ? JSON.parse(readFileSync(outcomeFile, "utf8")) : {};
}

export function keyOf({ room, protocol, title }) {
  return `${protocol} of ${room}: ${title}`;
}

/** Changes with what the mutant does. */
export function faultOf({ file, find, replace }) {
  const fault = JSON.stringify([file, find, replace]);
  return createHash("sha256").update(fault).digest("hex").slice(0, 12);
}
