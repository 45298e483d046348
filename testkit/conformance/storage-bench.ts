import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import {
  type Clock,
  type ErrorCode,
  isHexkitError,
  type ObjectStorage,
  type ObjectStorageCapabilities,
  type ObjectStorageDriver,
  openRegistry,
  type Plugin,
  type Registry,
  type UploadRef,
} from "../../core/index.ts";
import { capabilityTitle } from "./capabilities.ts";
import { type LogLine, recordingLogger, testTimeoutMs } from "./event-broker.ts";

/** A storage server under test, or whatever stands for one: a folder, a database. Buckets of all tests have unique names, so one serves them all. */
export interface StorageServer {
  /** Options of a provider that reaches it, as in a configuration file. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The clock of all registries. Default: the system's. */
  readonly clock?: Clock;
  /** Lets links and uploads age: by the clock above where that is enough. Default: a real wait. */
  elapse?(ms: number): Promise<void>;
  /** Once, after the last test; the suite has deleted its buckets. */
  close(): Promise<void>;
}

/** Where a server is not like the others, and our plugin can do nothing about it. Each is a sentence of the plugin's README as well. */
export interface StorageQuirks {
  /** Keys of the suite that the server does not store, lists wrongly or mangles, as a pattern. */
  readonly unstorableKeys?: RegExp;
  /** Objects are files: `a` and `a/b` cannot both be there, or hide one another. */
  readonly keysArePaths?: boolean;
  /** An object that is replaced keeps the metadata that the new one does not have. */
  readonly keepsOldMetadata?: boolean;
  /** A part or object whose request was cut off may be stored as far as it came: what follows an abort is not looked at. */
  readonly storesTornRequests?: boolean;
}

/** What `testObjectStorage` is told about a plugin. */
export interface ObjectStorageSubject {
  /** In the title of the suite: `objectStorage: <name>`. */
  readonly name: string;
  /** Why it cannot run here, or false; the reason is printed with the skipped suite. */
  readonly skip?: string | false;
  readonly plugin: Plugin;
  /**
   * Written by hand, not read from the driver: one that loses a capability fails. Each capability is tested both ways: what is declared must
   * work, what is not must be refused with ERR_HEXKIT_UNSUPPORTED. Without `links` the suite sends parts by the driver's own `putPart`.
   */
  readonly expects: ObjectStorageCapabilities;
  readonly quirks?: StorageQuirks;
  /** Starts or finds the server. Once, before the first test. */
  open(): Promise<StorageServer>;
}

export const mebibyte = 2 ** 20;

/** What a test holds. */
export interface StorageService extends AsyncDisposable {
  readonly registry: Registry;
  readonly storage: ObjectStorage;
  /** What the plugin made: for what core itself would not let happen. */
  readonly driver: ObjectStorageDriver;
  /** Sends parts as others do: by links, or past core where the provider signs none. In any order. */
  send(upload: UploadRef, parts: Readonly<Record<number, Uint8Array | string>>): Promise<void>;
  /** A new, empty bucket. */
  readonly bucket: string;
  readonly lines: readonly LogLine[];
  /** The name of another new bucket, which does not exist yet. */
  newName(): string;
}

export interface ServiceOptions {
  /** Settings of the binding. */
  readonly settings?: object;
  readonly plugin?: Plugin;
}

export interface TestOptions extends ServiceOptions {
  /** Whether it applies to this subject, its capabilities apart. Default: yes. */
  readonly when?: boolean;
  /** The capability that it is about: it runs only where that is expected, and is named after it. */
  readonly needs?: keyof ObjectStorageCapabilities;
  /** The same where the capability is not expected, and using it must be refused. */
  readonly lacks?: keyof ObjectStorageCapabilities;
}

/** A group of tests. Called from here like the tests themselves: a file that seems to hold groups and no test would count as empty. */
export function suite(name: string, work: () => void, skip: string | false = false): void {
  describe(name, { skip }, work);
}

/** One server and one plugin, with the tools of the suite. */
export class StorageBench {
  readonly subject: ObjectStorageSubject;
  #server: StorageServer | undefined;
  readonly #names = new Set<string>();

  constructor(subject: ObjectStorageSubject) {
    this.subject = subject;
  }

  async start(): Promise<void> {
    this.#server = await this.subject.open();
  }

  /** Removes what the tests have left, then the server. */
  async stop(): Promise<void> {
    if (this.#server === undefined) return;
    try {
      await using service = await this.open({ plugin: this.subject.plugin });
      for (const name of this.#names) {
        if (await service.storage.bucketExists(name)) await service.storage.deleteBucket(name, { deleteContent: true });
      }
    } finally {
      await this.#server.close();
    }
  }

  /** A test with a service and a bucket of its own. */
  test(name: string, work: (service: StorageService) => Promise<void>, options: TestOptions = {}): void {
    const title = capabilityTitle(name, this.subject.expects, options);
    if (title === undefined || options.when === false) return;
    it(title, { timeout: testTimeoutMs }, async () => {
      await using service = await this.open(options);
      await work(service);
    });
  }

  async open({ settings, plugin = this.subject.plugin }: ServiceOptions = {}): Promise<StorageService> {
    assert.ok(this.#server, "the suite has begun");
    const lines: LogLine[] = [];
    let driver: ObjectStorageDriver | undefined;
    const registry = await openRegistry({
      config: {
        providers: { subject: { plugin: plugin.name, options: this.#server.options } },
        protocols: { objectStorage: { provider: "subject", ...settings } },
      },
      env: {},
      plugins: [tapped(plugin, (made) => (driver = made))],
      ...(this.#server.clock && { clock: this.#server.clock }),
      logger: recordingLogger(lines),
    });
    const storage = registry.get("objectStorage");
    const bucket = this.newName();
    await storage.createBucket(bucket);
    assert.ok(driver, "the plugin provides objectStorage");
    const made: ObjectStorageDriver = driver;
    return {
      registry,
      storage,
      driver: made,
      bucket,
      lines,
      send: (upload, parts) => this.#send(storage, made, upload, parts),
      newName: () => this.newName(),
      [Symbol.asyncDispose]: () => registry.close(),
    };
  }

  async #send(
    { multipart }: ObjectStorage,
    driver: ObjectStorageDriver,
    upload: UploadRef,
    parts: Readonly<Record<number, Uint8Array | string>>,
  ): Promise<void> {
    for (const [number, body] of Object.entries(parts)) {
      if (!this.subject.expects.links) {
        await driver.putPart(upload, Number(number), Buffer.from(body), {});
        continue;
      }
      const { url, headers } = await multipart.partUrl(upload, Number(number));
      const answer = await fetch(url, { method: "PUT", body, headers });
      assert.equal(answer.status, 200, await answer.text());
    }
  }

  newName(): string {
    const name = `conformance-${randomUUID()}`;
    this.#names.add(name);
    return name;
  }

  async elapse(ms: number): Promise<void> {
    if (this.#server?.elapse !== undefined) return this.#server.elapse(ms);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}

/** The plugin, showing the driver that it makes. */
function tapped(plugin: Plugin, show: (driver: ObjectStorageDriver) => void): Plugin {
  const create = plugin.provides.objectStorage as ((client: never, context: never) => unknown) | undefined;
  if (create === undefined) return plugin;
  const objectStorage = async (client: never, context: never): Promise<ObjectStorageDriver> => {
    const driver = (await create(client, context)) as ObjectStorageDriver;
    show(driver);
    return driver;
  };
  return Object.create(plugin, { provides: { value: { ...plugin.provides, objectStorage } } }) as Plugin;
}

/** Fails with exactly that code. What came instead is said: most often it is what the plugin does not classify. */
export async function refuses(code: ErrorCode, work: Promise<unknown>, what?: string): Promise<void> {
  const outcome = await work.then(
    () => ({ resolved: true }) as const,
    (error: unknown) => ({ resolved: false, error }) as const,
  );
  if (!outcome.resolved && isHexkitError(outcome.error, code)) return;
  const fact = outcome.resolved ? "it resolved" : `came ${isHexkitError(outcome.error) ? outcome.error.code : ""} ${outcome.error}`;
  const failure = new assert.AssertionError({
    message: `${what === undefined ? "" : `${what}: `}expected ${code}, but ${fact}`,
    stackStartFn: refuses,
  });
  if (!outcome.resolved) failure.cause = outcome.error;
  throw failure;
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Bytes that differ from place to place, the same for the same seed. */
export function bytesOf(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const block = Buffer.alloc(Math.min(65_521, sizeBytes));
  for (let at = 0; at < block.length; at += 1) block[at] = (at * 31 + seed * 17 + (at >> 8)) & 0xff;
  for (let at = 0; at < sizeBytes; at += block.length) bytes.set(block.subarray(0, Math.min(block.length, sizeBytes - at)), at);
  return bytes;
}

/** The bytes, in chunks of whatever size. */
export async function* chunksOf(bytes: Uint8Array, chunkBytes = 100_003): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** Large bodies are compared by this: a difference of 20 MiB cannot be printed. */
export function digest(bytes: Uint8Array): string {
  return `${bytes.byteLength} bytes, ${createHash("sha256").update(bytes).digest("hex")}`;
}
