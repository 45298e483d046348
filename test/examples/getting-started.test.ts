import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, extname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generatedSection } from "../house/generated-file.ts";
import { bring, type InstalledPackage, installPackage, root } from "../house/packed-package.ts";

const path = "docs/getting-started.md";
const example = "examples/billing";

/** What the page shows in the order in which a reader meets it: files to write, commands to type, output to see. */
interface Block {
  /** Where its text goes, if it is a file. */
  readonly file: string | undefined;
  readonly language: string;
  readonly text: string;
}

function blocks(): Block[] {
  const page = readFileSync(join(root, path), "utf8");
  return [...page.matchAll(/(?:<!-- generated: (\S+) -->\n\n|^`([\w.-]+)`:\n\n)?^```(\w+)\n(.*?)^```$/gms)].map(
    ([, generated, named, language = "", text = ""]) => ({ file: generated ?? named, language, text }),
  );
}

describe(path, () => {
  const shown = [...readFileSync(join(root, path), "utf8").matchAll(/<!-- generated: (\S+) -->/g)].map(([, file = ""]) => file);
  for (const file of shown)
    it(`shows ${example}/${file}`, () => {
      const source = readFileSync(join(root, example, file), "utf8").replace("../../hexkit.config", "./node_modules/hexkit/hexkit.config");
      generatedSection(path, file, `\`\`\`${extname(file).slice(1)}\n${source.trimEnd()}\n\`\`\``);
    });

  it("leaves out no file of the example but its README", () => {
    const files = readdirSync(join(root, example), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(root, example).length + 1));
    assert.deepEqual(
      files.filter((file) => file !== "README.md" && !shown.includes(file)),
      [],
    );
  });
});

describe(`${path}, followed in an empty folder with the packed package`, () => {
  let installed: InstalledPackage;
  before(async () => {
    installed = await installPackage();
    rmSync(join(installed.folder, "package.json"));
  });
  after(() => installed?.remove());

  /** Types a command into a shell. */
  const type = (command: string) =>
    new Promise<{ code: number; output: string }>((done) => {
      const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_|npm_|INIT_CWD)/.test(name)));
      const env = { ...kept, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }; // the node that runs the tests
      execFile("bash", ["-c", command], { cwd: installed.folder, env, timeout: 60_000 }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, output: stdout + stderr }),
      );
    });
  const succeeds = async (command: string): Promise<string> => {
    const { code, output } = await type(command);
    assert.equal(code, 0, `${command}\n${output}`);
    return output;
  };
  const isThere = async (...names: string[]): Promise<string> => {
    for (const name of names) assert.ok(existsSync(join(installed.folder, "node_modules", name)), name);
    return "";
  };

  /** Every command of the page, and what following it means here. What needs Kafka is followed in test/services/billing-example.test.ts. */
  const commands: Readonly<Record<string, (command: string) => Promise<string>>> = {
    "mkdir billing && cd billing": async () => "",
    "npm init --yes": succeeds,
    'npm pkg set type=module scripts.test="node --import tsx --test billing.test.ts"': succeeds,
    "npm install hexkit": () => isThere("hexkit"),
    "npm install --save-dev typescript tsx @types/node": () => {
      const esbuild = readdirSync(join(root, "node_modules", "@esbuild")).map((name) => `@esbuild/${name}`);
      bring(installed.folder, ["@types/node", "undici-types", "tsx", "esbuild", ...esbuild]);
      return isThere("tsx", "@types/node");
    },
    "node --import tsx main.ts": async (command) => {
      // Ctrl+C, as soon as the program listens to it.
      const preload =
        'process.on("newListener", (name) => { if (name === "SIGINT") setImmediate(() => process.kill(process.pid, "SIGINT")); });';
      const output = await succeeds(`NODE_OPTIONS="--import=data:text/javascript,${encodeURIComponent(preload)}" ${command}`);
      assert.match(output, /"reason":"SIGINT".*"message":"closing"/);
      return output;
    },
    "HEXKIT_EVENT_SUBSCRIBER_MAX_RETRY=5 node --import tsx main.ts": async (command) => {
      const { code, output } = await type(command);
      assert.equal(code, 1, output);
      return output;
    },
    "npx tsc": () => succeeds(`"${process.execPath}" "${join(root, "node_modules", "typescript", "bin", "tsc")}" -p .`),
    "npm test": succeeds,
  };
  const elsewhere = [/^docker run /, /^npm install kafkajs$/, /HEXKIT_KAFKA_BROKERS=/, /HEXKIT_CONFIG=kafka/];

  it("works, step by step", async () => {
    let last = Promise.resolve("");
    const done: string[] = [];
    const running: Promise<unknown>[] = [];
    for (const { file, language, text } of blocks()) {
      if (file !== undefined) {
        mkdirSync(join(installed.folder, dirname(file)), { recursive: true });
        writeFileSync(join(installed.folder, file), text);
      } else if (language === "sh") {
        for (const command of text.trim().split("\n")) {
          if (elsewhere.some((pattern) => pattern.test(command))) continue;
          const follow = commands[command] ?? assert.fail(`the page says ${command}, which no test follows`);
          last = follow(command);
          done.push(command);
          running.push(last);
          // What only runs the service takes nothing from what comes after it, and may take its time beside it.
          if (command.startsWith("npm ") && command !== "npm test") await last;
        }
      } else if (language === "text" && !text.startsWith("bill:")) {
        const output = last;
        running.push(
          output.then((seen) =>
            text
              .trim()
              .split("\n")
              .every((line) => seen.includes(line) || assert.fail(`${line}\nis not in\n${seen}`)),
          ),
        );
      }
    }
    await Promise.all(running);
    assert.deepEqual(done, Object.keys(commands), "every command was met, in this order");
  });
});
