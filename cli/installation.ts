import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The part of a package.json that is looked at. */
export interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** This package as it is installed. */
export function installation(): { readonly folder: string; readonly version: string } {
  const path = nearestManifest(import.meta.dirname);
  if (path === undefined) throw new Error(`there is no package.json above ${import.meta.dirname}: hexkit is not installed whole`);
  return { folder: dirname(path), version: readManifest(path).version ?? "unknown" };
}

/** The path of the first package.json in a folder or above it. */
export function nearestManifest(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, "package.json"))) return join(at, "package.json");
    if (dirname(at) === at) return undefined;
  }
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, "utf8")) as Manifest;
}

/** The package of that name as a module in `folder` would find it. `exports` is not asked: many packages hide their package.json. */
export function installedPackage(name: string, folder: string): { readonly folder: string; readonly version: string } | undefined {
  for (const base of createRequire(join(folder, "hexkit.js")).resolve.paths(name) ?? []) {
    const path = join(base, name, "package.json");
    if (existsSync(path)) return { folder: dirname(realpathSync(path)), version: readManifest(path).version ?? "unknown" };
  }
  return undefined;
}
