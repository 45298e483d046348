import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { root } from "../core/run-program.ts";
import { generatedSection } from "../house/generated-file.ts";
import { project } from "./command.ts";

const path = "docs/cli.md";
const page = readFileSync(join(root, path), "utf8");

/** Types a command into a shell, in which `npx hexkit` is the command of this checkout. */
function type(command: string, folder: string): Promise<string> {
  const script = `npx() { shift; "${process.execPath}" --conditions=@hexkit/source --import "${import.meta.resolve("tsx")}" "${join(root, "cli", "index.ts")}" "$@"; }
${command}`;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_|npm_|NO_COLOR)/.test(name)));
  return new Promise((done) => {
    execFile("bash", ["-c", script], { cwd: folder, env, timeout: 60_000 }, (_, stdout, stderr) => done(stdout + stderr));
  });
}

describe(path, { concurrency: 2 }, () => {
  const sections = [...page.matchAll(/<!-- generated: (\S+) -->\n\n```console\n(.*?)^```$/gms)];
  it("shows commands", () => {
    assert.ok(sections.length >= 5, `${sections.length} sections`);
  });

  for (const [, name = "", text = ""] of sections)
    it(`shows what is printed: ${name}`, async () => {
      const config = {
        $schema: "./node_modules/hexkit/hexkit.config.schema.json",
        ...JSON.parse(/```json\n(.*?)^```$/ms.exec(page)?.[1] ?? "{}"),
      };
      const { folder, remove } = project({ "hexkit.config.json": config });
      try {
        const parts: string[] = [];
        // A command may go on over lines that end in a backslash.
        for (const [, command = ""] of text.matchAll(/^\$ (.*(?:(?<=\\)\n.*)*)/gm)) {
          const output = await type(command, folder);
          parts.push(`$ ${command}\n${output.replaceAll(folder, "/home/ann/desk")}`.trimEnd());
        }
        generatedSection(path, name, `\`\`\`console\n${parts.join("\n")}\n\`\`\``);
      } finally {
        remove();
      }
    });
});
