import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, sep } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
export const root = join(import.meta.dirname, "..", "..");

/** This package as npm publishes it, installed in a folder of its own outside the checkout. */
export interface InstalledPackage {
  /** The consumer's folder; `hexkit` is in its `node_modules`, and no driver package. */
  readonly folder: string;
  readonly tarball: string;
  /** What was packed, by path inside the package. */
  readonly files: readonly string[];
  /** Runs node in the consumer's folder. Never throws for a failing program. */
  node(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<{ code: number; stdout: string; stderr: string }>;
  remove(): void;
}

/**
 * Builds, packs (once for the same files) and installs. The checkout is only read, so that runs side by side do not meet. The dependencies are
 * those of the lock file, copied, so that no network is needed; with HEXKIT_TEST_INSTALL=npm, npm fetches them.
 */
export async function installPackage(): Promise<InstalledPackage> {
  const work = mkdtempSync(join(tmpdir(), "hexkit-package-"));
  const folder = join(work, "consumer");
  const remove = (): void => rmSync(work, { recursive: true, force: true });
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
    const tarball = await pack(join(work, "stage"));
    if (process.env.HEXKIT_TEST_INSTALL === "npm") {
      await npm(["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], folder);
    } else {
      await unpack(tarball, join(folder, "node_modules", "hexkit"));
      linkCommands(join(folder, "node_modules"));
      copyDependencies(join(folder, "node_modules"));
    }
    const files = filesIn(join(folder, "node_modules", "hexkit"));
    return { folder, tarball, files, node: (args, env) => node(folder, args, env), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Packed before from the same files, by their digest: several test files need the package, and building it takes a while on a busy machine. */
const packed = join(root, "node_modules", ".cache", "hexkit-packed");
const keptMs = 24 * 60 * 60 * 1000;

async function pack(stage: string): Promise<string> {
  mkdirSync(stage);
  const { files } = manifest();
  const wanted = [
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    ...readdirSync(root).filter((name) => /^(README|LICENSE)/.test(name)),
    ...files,
  ];
  for (const name of wanted) {
    if (name !== "dist" && existsSync(join(root, name))) cpSync(join(root, name), join(stage, name), { recursive: true });
  }
  const known = join(packed, `${digest(stage)}.tgz`);
  const tarball = join(dirname(stage), "hexkit.tgz");
  if (existsSync(known)) {
    copyFileSync(known, tarball);
    return tarball;
  }
  symlinkSync(join(root, "node_modules"), join(stage, "node_modules"));
  await npm(["pack", "--pack-destination", dirname(stage)], stage);
  const [made] = readdirSync(dirname(stage)).filter((name) => name.endsWith(".tgz"));
  if (made === undefined) throw new Error("npm pack made no tarball");
  renameSync(join(dirname(stage), made), tarball);
  mkdirSync(packed, { recursive: true });
  for (const name of readdirSync(packed)) {
    const path = join(packed, name);
    const facts = statSync(path, { throwIfNoEntry: false }); // others clean up at the same time
    if (facts !== undefined && Date.now() - facts.mtimeMs > keptMs) rmSync(path, { force: true });
  }
  // Under a name of its own until it is whole: others look at the same time.
  const copy = join(packed, `${basename(dirname(stage))}.part`);
  copyFileSync(tarball, copy);
  renameSync(copy, known);
  return tarball;
}

/** Of the names and contents of all files, and of the versions that build them. */
function digest(folder: string): string {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  for (const file of filesIn(folder))
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(folder, file)))
      .update("\0");
  return hash.digest("hex");
}

async function unpack(tarball: string, into: string): Promise<void> {
  mkdirSync(into, { recursive: true });
  await exec("tar", ["xzf", tarball, "-C", into, "--strip-components=1"]);
}

/** As npm does it: what stands in `bin` can be executed, by a link in `.bin`. */
function linkCommands(nodeModules: string): void {
  mkdirSync(join(nodeModules, ".bin"));
  for (const [name, path] of Object.entries(manifest().bin)) {
    chmodSync(join(nodeModules, "hexkit", path), 0o755);
    symlinkSync(join("..", "hexkit", path), join(nodeModules, ".bin", name));
  }
}

/** What `npm install` would put beside the package: the dependencies in the lock file that are neither for development nor peers. */
function copyDependencies(nodeModules: string): void {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; peer?: boolean }>;
  };
  for (const [path, { dev, devOptional, peer }] of Object.entries(lock.packages)) {
    if (path === "" || dev || devOptional || peer || !existsSync(join(root, path))) continue;
    cpSync(join(root, path), join(dirname(nodeModules), path), { recursive: true });
  }
}

/** Copies packages that a consumer brings itself, such as `@types/node`. */
export function bring(folder: string, names: readonly string[]): void {
  for (const name of names) cpSync(join(root, "node_modules", name), join(folder, "node_modules", name), { recursive: true });
}

export function manifest(): {
  readonly files: readonly string[];
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
} {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
}

async function npm(args: readonly string[], cwd: string): Promise<void> {
  try {
    await exec("npm", [...args, "--loglevel=error"], { cwd, env: cleanEnv() });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`npm ${args.join(" ")} failed:\n${stdout ?? ""}${stderr ?? ""}`, { cause: error });
  }
}

async function node(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  try {
    const { stdout, stderr } = await exec(process.execPath, args, { cwd, env: { ...cleanEnv(), ...env } });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string };
    if (typeof code !== "number") throw error;
    return { code, stdout, stderr };
  }
}

/** The environment without what the test runner, npm and coverage put there. */
function cleanEnv(): NodeJS.ProcessEnv {
  const dropped =
    /^(NODE_OPTIONS|NODE_TEST_CONTEXT|NODE_V8_COVERAGE|INIT_CWD|npm_(config_local_prefix|package_|lifecycle_|command|execpath).*)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !dropped.test(name)));
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/** Compiles the folder `source` of a consumer as the package of a plugin, strictly; what the compiler says, which should be nothing. */
export async function compilePlugin(folder: string, name: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    rewriteRelativeImportExtensions: true,
    declaration: true,
    rootDir: "source",
    outDir: join("node_modules", name, "dist"),
    ...more,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["source"] }));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  return new Promise((done) => {
    execFile(process.execPath, [tsc, "-p", "."], { cwd: folder }, (_error, stdout, stderr) => done(stdout + stderr));
  });
}
