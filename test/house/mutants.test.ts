import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { faultOf, keyOf, type Mutant, readMutants, readOutcome } from "../mutants/list.mjs";
import { generatedSection, table } from "./generated-file.ts";

const root = join(import.meta.dirname, "..", "..");
const mutants = readMutants();
const outcome = readOutcome();
const again = "run `npm run mutants`";

/** The mutants of each protocol and room, in the order of their files. */
function groups(): [name: string, mutants: Mutant[]][] {
  const names = [...new Set(mutants.map(({ room, protocol }) => `${protocol} in ${room}`))];
  return names.map((name) => [name, mutants.filter(({ room, protocol }) => `${protocol} in ${room}` === name)]);
}

describe("the mutants", () => {
  it("change text that is in their file exactly once, each in its own way", () => {
    for (const mutant of mutants) {
      const { file, find, replace, suite } = mutant;
      assert.equal(existsSync(join(root, suite)), true, `${keyOf(mutant)}: there is no ${suite}`);
      const count = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8").split(find).length - 1 : 0;
      assert.equal(count, 1, `${keyOf(mutant)}: its text is ${count} times in ${file}`);
      assert.notEqual(find, replace, keyOf(mutant));
    }
    assert.equal(new Set(mutants.map(keyOf)).size, mutants.length, "two mutants have the same title");
    assert.equal(new Set(mutants.map(faultOf)).size, mutants.length, "two mutants are the same");
  });

  it("are eight or more of each protocol", () => {
    for (const [name, some] of groups()) assert.ok(some.length >= 8, `${name}: ${some.length}`);
  });

  it("are all killed, as they are now", () => {
    for (const mutant of mutants) {
      const known = outcome[keyOf(mutant)];
      assert.equal(known?.fault, faultOf(mutant), `${keyOf(mutant)}: it was not tried since it was changed; ${again}`);
      assert.ok(known.by, `${keyOf(mutant)}: it ${known.state}; the suite lacks a test`);
    }
    const gone = Object.keys(outcome).filter((key) => !mutants.some((mutant) => keyOf(mutant) === key));
    assert.deepEqual(gone, [], again);
  });

  it("stand in testkit/README.md, each with the test that found it", () => {
    const parts = groups().map(([name, some]) => {
      const rows = some.map((mutant) => [mutant.title, outcome[keyOf(mutant)]?.by ?? "nothing"]);
      return `### ${name}: ${some.filter((mutant) => outcome[keyOf(mutant)]?.by).length} of ${some.length} found\n\n${table(["It", "Found by"], rows)}`;
    });
    generatedSection("testkit/README.md", "mutants", parts.join("\n\n"));
  });
});
