import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { S3 } from "@aws-sdk/client-s3";
import { type ObjectStorage, openRegistry, type Registry } from "hexkit";
import { Client } from "minio";
import { type S3Server, withMinio } from "./s3-server.ts";
import { compare } from "./stats.ts";
import { inParallel, inTurns, perSecond } from "./turns.ts";

const largeMebibytes = 256;
const partBytes = 8 * 1024 ** 2;
const smallObjects = 3_000;
const callers = 32;
const large = randomBytes(largeMebibytes * 1024 ** 2);
const small = randomBytes(1024);

/** What a client does by itself, for comparison. */
interface Bare {
  upload(bucket: string, key: string): Promise<unknown>;
  put(bucket: string, key: string): Promise<unknown>;
  /** The content, as a stream. */
  get(bucket: string, key: string): Promise<AsyncIterable<unknown>>;
}

/** Objects through a registry and by the bare clients, in turns, on `HEXKIT_TEST_MINIO_ENDPOINT` or a MinIO of its own. */
export async function benchObjectStorage(): Promise<void> {
  await withMinio(async (server) => {
    await bench("s3", server, bareSdk(server), () => large);
    // As its own upload wants it: a stream.
    await bench("minio", server, bareMinio(server), pieces);
  });
}

async function bench(plugin: "minio" | "s3", server: S3Server, bare: Bare, content: () => Uint8Array | Readable): Promise<void> {
  await using registry = await openWith(plugin, server);
  const storage = registry.get("objectStorage");
  const bucket = `bench-${plugin}-${Date.now()}`;
  await storage.createBucket(bucket);
  const ours: Bare = {
    upload: (name, key) => storage.put(name, key, content()),
    put: (name, key) => storage.put(name, key, small),
    get: async (name, key) => (await storage.get(name, key)).body,
  };
  const rows = [
    [`upload ${largeMebibytes} MiB`, "MiB/s", (by: Bare) => perSecond(largeMebibytes, async () => void (await by.upload(bucket, "large")))],
    [`download ${largeMebibytes} MiB`, "MiB/s", (by: Bare) => perSecond(largeMebibytes, async () => drain(await by.get(bucket, "large")))],
    [
      `put 1 KiB, ${callers} in flight`,
      "/s",
      (by: Bare) => perSecond(smallObjects, () => inParallel(smallObjects, callers, (index) => by.put(bucket, `small-${index % 200}`))),
    ],
    [
      `get 1 KiB, ${callers} in flight`,
      "/s",
      (by: Bare) =>
        perSecond(smallObjects, () =>
          inParallel(smallObjects, callers, async (index) => drain(await by.get(bucket, `small-${index % 200}`))),
        ),
    ],
  ] as const;
  for (const [what, unit, measure] of rows) {
    const figures = await inTurns(
      () => measure(ours),
      () => measure(bare),
    );
    console.log(`${plugin}: ${what}: ${compare(figures, "bare", unit)}`);
  }
  await clear(storage, bucket);
}

function openWith(plugin: "minio" | "s3", { endpoint, accessKeyId, secretAccessKey, region }: S3Server): Promise<Registry> {
  const options = { endpoint, accessKeyId, secretAccessKey, region };
  return openRegistry({
    config: { log: { level: "silent" }, providers: { files: { plugin, options } }, protocols: { objectStorage: "files" } },
    env: {},
  });
}

/** Parts of 8 MiB, four at a time, as the plugin sends them. */
function bareSdk({ endpoint, accessKeyId, secretAccessKey, region }: S3Server): Bare {
  const client = new S3({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  return {
    upload: async (Bucket, Key) => {
      const { UploadId } = await client.createMultipartUpload({ Bucket, Key });
      const count = Math.ceil(large.byteLength / partBytes);
      const etags: string[] = [];
      await inParallel(count, 4, async (index) => {
        const Body = large.subarray(index * partBytes, (index + 1) * partBytes);
        const { ETag = "" } = await client.uploadPart({ Bucket, Key, UploadId, PartNumber: index + 1, Body });
        etags[index] = ETag;
      });
      const Parts = etags.map((ETag, index) => ({ PartNumber: index + 1, ETag }));
      await client.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
    },
    put: (Bucket, Key) => client.putObject({ Bucket, Key, Body: small }),
    get: async (Bucket, Key) => (await client.getObject({ Bucket, Key })).Body as Readable,
  };
}

function bareMinio({ endpoint, accessKeyId, secretAccessKey, region }: S3Server): Bare {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    region,
  });
  return {
    upload: (bucket, key) => client.putObject(bucket, key, pieces(), large.byteLength),
    put: (bucket, key) => client.putObject(bucket, key, small),
    get: (bucket, key) => client.getObject(bucket, key),
  };
}

function pieces(): Readable {
  const size = 64 * 1024;
  return Readable.from(
    (function* () {
      for (let at = 0; at < large.byteLength; at += size) yield large.subarray(at, at + size);
    })(),
    { objectMode: false, highWaterMark: size },
  );
}

async function drain(content: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of content);
}

async function clear(storage: ObjectStorage, bucket: string): Promise<void> {
  await storage.deleteBucket(bucket, { deleteContent: true });
}
