import type { FileStore, KeptFile, OpenFile } from "../ports/file-store.ts";

const linkMs = 10 * 60_000;
const fileName = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,99}$/u;

/** Says what is wrong in words for whoever asked. */
export class ShelfError extends Error {
  override readonly name = "ShelfError";
  readonly kind: "bad-name" | "missing";

  constructor(kind: "bad-name" | "missing", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** The domain: a shelf of named files. Knows neither HTTP nor storage. */
export class FileShelf {
  readonly #store: FileStore;

  constructor(store: FileStore) {
    this.#store = store;
  }

  put(name: string, type: string, content: AsyncIterable<Uint8Array>): Promise<KeptFile> {
    return this.#store.keep(checked(name), type, content);
  }

  async take(name: string): Promise<OpenFile> {
    return found(name, await this.#store.open(checked(name)));
  }

  async share(name: string): Promise<string> {
    return found(name, await this.#store.share(checked(name), linkMs));
  }

  async list(): Promise<readonly KeptFile[]> {
    const files: KeptFile[] = [];
    for await (const file of this.#store.list()) files.push(file);
    return files;
  }

  remove(name: string): Promise<void> {
    return this.#store.remove(checked(name));
  }
}

function checked(name: string): string {
  if (fileName.test(name)) return name;
  throw new ShelfError("bad-name", "a file's name has up to 100 letters, digits, spaces, dots, - and _, and begins with a letter or digit");
}

function found<Found>(name: string, found: Found | undefined): Found {
  if (found !== undefined) return found;
  throw new ShelfError("missing", `there is no file ${JSON.stringify(name)}`);
}
