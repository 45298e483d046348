import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { isHexkitError, type ObjectStorage, openRegistry, type Registry } from "hexkit";
import { optionsFor } from "../services/object-storage.ts";
import { startServer } from "../services/server.mjs";
import type { Scenario } from "./stage.ts";
import { within } from "./stage.ts";

const mebibyte = 1024 ** 2;
const partBytes = 8 * mebibyte;
const concurrency = 4;
const plugins = ["s3", "minio"] as const;

/** One upload in a process of its own, whose memory nothing else grows. */
export interface UploadOrder {
  readonly plugin: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly mebibytes: number;
}

export interface UploadResult {
  readonly sizeBytes: number;
  readonly growthBytes: number;
  readonly seconds: number;
}

export const boundedMemory: Scenario = {
  name: "R17",
  title: "uploading a large object of unknown size takes no more memory than part size × (concurrency + 2), on every server",
  async run(_stage, scale) {
    const mebibytes = scale === "full" ? 1024 : 256;
    const bound = partBytes * (concurrency + 2);
    const figures: Record<string, number> = { mebibytes, boundMiB: bound / mebibyte };
    for (const server of ["MINIO", "VERSITYGW"] as const) {
      for (const plugin of plugins) {
        const order: UploadOrder = { plugin, options: optionsFor(server), mebibytes };
        const { sizeBytes, growthBytes, seconds } = await upload(order);
        assert.equal(sizeBytes, mebibytes * mebibyte, `${plugin} on ${server}: bytes stored`);
        assert.ok(growthBytes <= bound, `${plugin} on ${server}: memory grew by ${growthBytes / mebibyte} MiB, of ${bound / mebibyte}`);
        figures[`${plugin}On${server}GrowthMiB`] = Math.round(growthBytes / mebibyte);
        figures[`${plugin}On${server}MiBPerS`] = Math.round(mebibytes / seconds);
      }
    }
    return figures;
  },
};

async function upload(order: UploadOrder): Promise<UploadResult> {
  const args = ["--conditions=@hexkit/source", "--import", "tsx", join(import.meta.dirname, "storage-worker.ts"), JSON.stringify(order)];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEXKIT_|NODE_)/.test(name)));
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 240_000 });
  return JSON.parse(stdout) as UploadResult;
}

export const storageKilled: Scenario = {
  name: "S3 server killed",
  title: "a server killed amid transfers rejects the calls; after its restart the same calls succeed and the sweeper leaves nothing",
  async run() {
    const server = await startServer("minio");
    const figures: Record<string, number> = {};
    try {
      const options = {
        endpoint: server.addresses.MINIO_ENDPOINT,
        accessKeyId: server.addresses.MINIO_ACCESS_KEY_ID,
        secretAccessKey: server.addresses.MINIO_SECRET_ACCESS_KEY,
      };
      for (const plugin of plugins) {
        await using registry = await openStorage(plugin, options);
        const storage = registry.get("objectStorage");
        const bucket = `killed-${plugin}`;
        await storage.createBucket(bucket);
        await storage.put(bucket, "read", new Uint8Array(64 * mebibyte));
        const begun = await killAmidTransfers(storage, bucket, () => server.kill());
        figures[`${plugin}RejectedAfterMs`] = Math.round(performance.now() - begun);
        await server.restart();
        await within(30_000, "the restarted server to answer", () => storage.bucketExists(bucket).catch(() => false));
        assert.equal(await storage.exists(bucket, "written"), false, "nothing of the broken upload can be seen");
        await storage.multipart.abortOlderThan(bucket, 0);
        for await (const left of storage.multipart.list(bucket)) assert.fail(`left behind: ${left.key}`);
        assert.equal((await storage.put(bucket, "written", content(64))).sizeBytes, 64 * mebibyte, "written after the restart");
        await using object = await storage.get(bucket, "read");
        assert.equal((await object.bytes()).byteLength, 64 * mebibyte, "read after the restart");
      }
    } finally {
      await server.stop();
    }
    return figures;
  },
};

/** Resolves once an upload and a download have been rejected, with the time of the kill. */
async function killAmidTransfers(storage: ObjectStorage, bucket: string, kill: () => Promise<unknown>): Promise<number> {
  let begun = 0;
  const object = await storage.get(bucket, "read");
  await once(object.body, "readable");
  const written = storage.put(
    bucket,
    "written",
    content(512, async (mebibytes) => {
      if (mebibytes !== 40) return;
      begun = performance.now();
      await kill();
    }),
  );
  const outcomes = await Promise.allSettled([written, written.catch(() => undefined).then(() => object.bytes())]);
  for (const [index, what] of ["the upload", "the download"].entries()) {
    const outcome = outcomes[index];
    const error = outcome?.status === "rejected" ? (outcome.reason as unknown) : undefined;
    assert.ok(isHexkitError(error) && error.retryable, `${what} was rejected with a retryable error: ${error}`);
  }
  return begun;
}

export const abortedTransfers: Scenario = {
  name: "S3 aborts",
  title: "an abort ends a transfer within 100 ms and frees its socket, so that the only one serves the next call",
  async run() {
    const figures: Record<string, number> = {};
    for (const plugin of plugins) {
      await using registry = await openStorage(plugin, { ...optionsFor("MINIO"), maxSockets: 1 });
      const storage = registry.get("objectStorage");
      const bucket = `aborts-${plugin}-${Date.now()}`;
      await storage.createBucket(bucket);
      await storage.put(bucket, "read", new Uint8Array(64 * mebibyte));
      const transfers = {
        Download: async (signal: AbortSignal): Promise<unknown> => {
          const object = await storage.get(bucket, "read", { signal });
          return object.bytes();
        },
        Upload: (signal: AbortSignal) => storage.put(bucket, "written", content(512), { signal }),
      };
      for (const [what, transfer] of Object.entries(transfers)) {
        const ending = new AbortController();
        const running = transfer(ending.signal).then(
          () => assert.fail(`the ${what} was not aborted`),
          (error: unknown) => error,
        );
        await new Promise((resolve) => setTimeout(resolve, 30));
        const begun = performance.now();
        ending.abort();
        const error = await running;
        const endedMs = performance.now() - begun;
        assert.ok(isHexkitError(error, "ERR_HEXKIT_ABORTED"), `${what}: ${error}`);
        assert.ok(endedMs < 100, `the ${what} ended after ${endedMs} ms`);
        assert.equal(await storage.exists(bucket, "read"), true, "the socket is free");
        figures[`${plugin}${what}Ms`] = Math.round(endedMs);
      }
      await storage.deleteBucket(bucket, { deleteContent: true });
    }
    return figures;
  },
};

export const refusedCredentials: Scenario = {
  name: "S3 credentials",
  title: "wrong credentials are refused as such when opening, on every server, and are in no message",
  async run() {
    for (const server of ["MINIO", "VERSITYGW"] as const) {
      for (const plugin of plugins) {
        for (const wrong of [{ secretAccessKey: "wrong-secret-of-test" }, { accessKeyId: "unknown-key-of-test" }]) {
          const error: unknown = await openStorage(plugin, { ...optionsFor(server), ...wrong }).then(
            () => assert.fail("it opened"),
            (reason: unknown) => reason,
          );
          const what = `${plugin} on ${server} with a wrong ${Object.keys(wrong)}`;
          assert.ok(isHexkitError(error, "ERR_HEXKIT_AUTHENTICATION_FAILED"), `${what}: ${error}`);
          assert.ok(!String(error).includes("wrong-secret-of-test"), what);
        }
      }
    }
    return { combinations: 8 };
  },
};

function openStorage(plugin: string, options: Readonly<Record<string, unknown>>): Promise<Registry> {
  return openRegistry({
    config: { log: { level: "silent" }, providers: { files: { plugin, options } }, protocols: { objectStorage: "files" } },
    env: {},
  });
}

/** A stream of so many MiB, of unknown size to whoever reads it. */
async function* content(mebibytes: number, onEach: (index: number) => Promise<void> = async () => {}): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(mebibyte).fill(7);
  for (let index = 0; index < mebibytes; index += 1) {
    await onEach(index);
    yield chunk;
  }
}
