import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { it } from "node:test";
import { parseSync } from "oxc-parser";
import { root } from "./packed-package.ts";

const rooms = ["core", "config", "plugins/memory"];

/** Whether a file compiles to nothing: types only, which no test can load. */
function isTypesOnly(path: string): boolean {
  const { program } = parseSync(path, readFileSync(join(root, path), "utf8"));
  return program.body.every((statement) => {
    const node = (statement.type === "ExportNamedDeclaration" ? (statement.declaration ?? statement) : statement) as {
      type: string;
      importKind?: string;
      exportKind?: string;
      declare?: boolean;
    };
    if (["TSInterfaceDeclaration", "TSTypeAliasDeclaration"].includes(node.type)) return true;
    return node.importKind === "type" || node.exportKind === "type" || node.declare === true;
  });
}

it("coverage leaves out the files without code, and no other", () => {
  const settings = JSON.parse(readFileSync(join(root, ".c8rc.json"), "utf8")) as { include: string[]; exclude: string[] };
  const files = rooms.flatMap((room) =>
    readdirSync(join(root, room), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/")),
  );
  assert.deepEqual(
    settings.include,
    rooms.map((room) => `${room}/**/*.ts`),
  );
  assert.deepEqual(settings.exclude, files.filter(isTypesOnly).sort(), "`exclude` in .c8rc.json");
});
