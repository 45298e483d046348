import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { root } from "../core/run-program.ts";
import { hexkit, hexkitHere, project } from "./command.ts";

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

describe("hexkit init", { concurrency: 2 }, () => {
  it("writes a service into a folder of its name, lists the files and says how to go on", async () => {
    const { folder, remove } = project();
    try {
      const { code, stdout, stderr } = await hexkit(["init", "service", "order-desk"], { cwd: folder });
      assert.deepEqual([code, stderr], [0, ""]);
      const written = filesIn(join(folder, "order-desk"));
      assert.equal(
        stdout,
        `Written to order-desk:\n${written.map((file) => `  ${file}\n`).join("")}\nNext:\n  cd order-desk\n  npm install\n  npm test\n  npm start\n`,
      );
      for (const file of ["package.json", "tsconfig.json", ".gitignore", "hexkit.config.json", "test/service.test.ts"])
        assert.ok(written.includes(file), `${file} is missing`);
      const { name, dependencies } = JSON.parse(readFileSync(join(folder, "order-desk", "package.json"), "utf8"));
      const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
      assert.deepEqual([name, dependencies], ["order-desk", { hexkit: `^${version}` }]);
      const config = JSON.parse(readFileSync(join(folder, "order-desk", "hexkit.config.json"), "utf8"));
      assert.equal(config.service.name, "order-desk");
    } finally {
      remove();
    }
  });

  it("names a plugin by its package, in each spelling, and leaves no placeholder", async () => {
    const { folder, remove } = project();
    try {
      const asked = [
        ["red-panda", "hexkit-plugin-red-panda", "hexkit-plugin-red-panda", "eventPublisher"],
        ["hexkit-plugin-bear", "hexkit-plugin-bear", "hexkit-plugin-bear", "objectStorage"],
        ["@acme/hexkit-plugin-sly-fox", "hexkit-plugin-sly-fox", "@acme/hexkit-plugin-sly-fox", "own"],
      ] as const;
      await Promise.all(
        asked.map(async ([name, into, packageName, protocol]) => {
          const { code, stdout, stderr } = await hexkit(["init", "plugin", name, "--protocol", protocol, "--json"], { cwd: folder });
          assert.equal(code, 0, stderr);
          const files = filesIn(join(folder, into));
          const next = [`cd ${into}`, "npm install", "npm test", "npm run build"];
          assert.deepEqual(JSON.parse(stdout), { folder: into, files, next });
          assert.equal(JSON.parse(readFileSync(join(folder, into, "package.json"), "utf8")).name, packageName);
          const text = files.map((file) => readFileSync(join(folder, into, file), "utf8")).join("\n");
          assert.doesNotMatch(text, /my-?technology|0\.0\.0-hexkit|fileSystem|#region|examples\//i);
        }),
      );
      const index = (name: string): string => readFileSync(join(folder, `hexkit-plugin-${name}`, "index.ts"), "utf8");
      assert.match(index("red-panda"), /name: "redPanda"[\s\S]*new RedPandaPublisherDriver\(/);
      assert.match(index("bear"), /name: "bear"/);
      assert.match(index("sly-fox"), /name: "slyFox"/);
    } finally {
      remove();
    }
  });

  it("overwrites nothing, says what is there, and replaces it with --force", async () => {
    const { folder, remove } = project({ "desk/main.ts": "mine", "desk/notes.txt": "mine too" });
    try {
      const into = join(folder, "desk");
      const refused = await hexkitHere(["init", "service", "desk", "-d", into]);
      assert.deepEqual([refused.code, refused.stdout], [1, ""]);
      assert.match(refused.stderr, /desk has main\.ts already: choose another --directory, or replace them with --force\n$/);
      assert.deepEqual(filesIn(into), ["main.ts", "notes.txt"], "nothing was written");
      const forced = await hexkitHere(["init", "service", "desk", "-d", into, "--force"]);
      assert.equal(forced.code, 0, forced.stderr);
      assert.match(readFileSync(join(folder, "desk", "main.ts"), "utf8"), /openRegistry/);
      assert.equal(readFileSync(join(folder, "desk", "notes.txt"), "utf8"), "mine too");
    } finally {
      remove();
    }
  });

  it("writes where --directory says, also here, and not into a file", async () => {
    const { folder, remove } = project();
    try {
      const here = join(folder, "here");
      mkdirSync(here);
      writeFileSync(join(folder, "file"), "");
      const [inHere, inFile, below] = await Promise.all([
        hexkit(["init", "service", "desk", "-d", "."], { cwd: here }),
        hexkitHere(["init", "service", "desk", "-d", join(folder, "file")]),
        hexkitHere(["init", "service", "desk", "-d", join(folder, "file", "below")]),
      ]);
      assert.equal(inHere.code, 0, inHere.stderr);
      assert.ok(existsSync(join(here, "package.json")), "written here");
      assert.doesNotMatch(inHere.stdout, /cd /);
      assert.deepEqual([inFile.code, below.code], [1, 1]);
      assert.match(inFile.stderr, /file is a file: choose another --directory/);
      assert.match(below.stderr, /cannot be written \(ENOTDIR\)/);
    } finally {
      remove();
    }
  });

  for (const args of [
    ["service", "Desk"],
    ["service", "my desk"],
    ["service", "../desk"],
    ["service", "9lives"],
    ["service", "a".repeat(51)],
    ["service", ""],
    ["plugin", "Pulsar"],
    ["plugin", "@acme/pulsar"],
    ["plugin", "hexkit-plugin-"],
    ["plugin", "a/b"],
    ["plugin", "x\nhexkit-plugin-y"],
  ])
    it(`refuses the name in init ${JSON.stringify(args.join(" "))}`, async () => {
      const { folder, remove } = project();
      try {
        const { code, stdout, stderr } = await hexkitHere(["init", ...args, "-d", join(folder, "new")]);
        assert.deepEqual([code, stdout], [2, ""]);
        assert.match(stderr, /argument 'name'\. Use lower-case words joined by hyphens/);
        assert.deepEqual(readdirSync(folder), ["node_modules"], "nothing was written");
      } finally {
        remove();
      }
    });

  for (const name of ["kafka", "object-storage", "service"])
    it(`refuses a plugin by a name that hexkit has: ${name}`, async () => {
      const { folder, remove } = project();
      try {
        const { code, stderr } = await hexkitHere(["init", "plugin", name, "-d", join(folder, "new")]);
        assert.equal(code, 2);
        assert.match(stderr, /hexkit has that name for itself/);
        assert.deepEqual(readdirSync(folder), ["node_modules"], "nothing was written");
      } finally {
        remove();
      }
    });

  it("asks for the versions of tools that this checkout is built with", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const template of ["service", "plugin"]) {
      const path = join(root, "cli", "templates", template, "_package.json");
      const { hexkit: _, ...tools } = JSON.parse(readFileSync(path, "utf8")).devDependencies;
      for (const [name, range] of Object.entries(tools)) assert.equal(range, devDependencies[name], `${template}: ${name}`);
    }
  });
});
