import { createHash, randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContentFacts } from "hexkit";

/** What is known about some content: a JSON file beside the file that holds it. */
export interface Entry extends ContentFacts {
  readonly name: string;
  /** Also the name of the content's file: new content, new file. Whoever is reading an old one goes on. */
  readonly etag: string;
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Of an upload: the object's key. */
  readonly key?: string;
}

/** Named contents. Each change is one atomic step on one JSON file, so that it is seen whole or not at all. */
export class Shelf {
  readonly #entries: string;
  readonly #contents: string;
  readonly #turns: Map<string, Promise<void>>;

  constructor(entries: string, contents: string, turns: Map<string, Promise<void>>) {
    this.#entries = entries;
    this.#contents = contents;
    this.#turns = turns;
  }

  contentOf(entry: Entry): string {
    return join(this.#contents, entry.etag);
  }

  /** `write` makes the content's file; then it replaces what had the name, or rejects with EEXIST if `ifAbsent`. */
  async add(facts: Omit<Entry, "etag" | "sizeBytes">, write: (path: string) => Promise<void>, ifAbsent = false): Promise<Entry> {
    const etag = randomUUID();
    const path = join(this.#contents, etag);
    try {
      await write(path);
      const entry = { ...facts, etag, sizeBytes: (await stat(path)).size };
      await writeFile(`${path}.json`, JSON.stringify(entry));
      await this.#inTurn(facts.name, async () => {
        const old = await this.find(facts.name);
        await (ifAbsent ? link : rename)(`${path}.json`, this.#pathOf(facts.name));
        // The new one is there: an old file that stays is no reason to fail.
        if (old !== undefined) await rm(this.contentOf(old), { force: true }).catch(() => undefined);
      });
      return entry;
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await rm(`${path}.json`, { force: true });
    }
  }

  find(name: string): Promise<Entry | undefined> {
    return this.#read(this.#pathOf(name));
  }

  /** In the order of the names' UTF-8 bytes. */
  async all(): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const file of await readdir(this.#entries)) {
      const entry = await this.#read(join(this.#entries, file));
      if (entry !== undefined) entries.push(entry);
    }
    return entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  async remove(name: string): Promise<void> {
    await this.#inTurn(name, async () => {
      const entry = await this.find(name);
      if (entry === undefined) return;
      await rm(this.#pathOf(name), { force: true });
      await rm(this.contentOf(entry), { force: true });
    });
  }

  /** A hash: any name is a good file name, on every system, and none is a way out of the folder. */
  #pathOf(name: string): string {
    return join(this.#entries, `${createHash("sha256").update(name).digest("hex")}.json`);
  }

  async #read(path: string): Promise<Entry | undefined> {
    try {
      return JSON.parse(await readFile(path, "utf8")) as Entry;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** One change of a name after the other, so that each removes the file of the one before. */
  async #inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const path = this.#pathOf(name);
    const turn = (this.#turns.get(path) ?? Promise.resolve()).then(work);
    const settled = turn.catch(() => undefined);
    this.#turns.set(path, settled);
    await turn.finally(() => {
      if (this.#turns.get(path) === settled) this.#turns.delete(path);
    });
  }
}
