import { Readable } from "node:stream";
import { type ContentStore, definePlugin, objectStorageOver, type Plugin, type RecordRef } from "hexkit";

/** A store in maps, which tells as little as the contract allows: it says nothing of missing buckets where it need not. */
export interface MapStore extends ContentStore {
  readonly contents: Map<string, Uint8Array>;
  readonly records: Map<string, string>;
}

export function mapStore(conditional = true): MapStore {
  const buckets = new Set<string>();
  const contents = new Map<string, Uint8Array>();
  const records = new Map<string, string>();
  const keyOf = ({ bucket, shelf, name }: RecordRef): string => `${bucket}/${shelf}/${name}`;
  const demand = (bucket: string): void => {
    if (!buckets.has(bucket)) throw new Error("no table of that name");
  };
  return {
    conditional,
    contents,
    records,
    createBucket: async (bucket) => !buckets.has(bucket) && buckets.add(bucket) !== undefined,
    bucketExists: async (bucket) => buckets.has(bucket),
    listBuckets: async () => [...buckets].map((bucket) => ({ bucket })),
    async deleteBucket(bucket) {
      demand(bucket);
      if ([...records.keys()].some((key) => key.startsWith(`${bucket}/objects/`))) return false;
      for (const map of [contents, records]) for (const key of map.keys()) if (key.startsWith(`${bucket}/`)) map.delete(key);
      return buckets.delete(bucket);
    },
    async writeContent(bucket, id, content, { signal }) {
      demand(bucket);
      const chunks: Uint8Array[] = [];
      if (content instanceof Uint8Array) chunks.push(content);
      else for await (const chunk of content) chunks.push(chunk);
      signal?.throwIfAborted();
      contents.set(`${bucket}/${id}`, Buffer.concat(chunks));
    },
    async readContent(bucket, id, { start, end } = { start: 0 }) {
      const content = contents.get(`${bucket}/${id}`);
      if (content === undefined) return undefined;
      const wanted = Buffer.from(content.subarray(start, (end ?? content.byteLength - 1) + 1));
      return Readable.from(wanted.byteLength === 0 ? [] : [wanted], { objectMode: false });
    },
    deleteContent: async (bucket, id) => void contents.delete(`${bucket}/${id}`),
    getRecord: async (record) => records.get(keyOf(record)),
    async setRecord(record, text, { ifAbsent }) {
      demand(record.bucket);
      if (ifAbsent && records.has(keyOf(record))) return false;
      records.set(keyOf(record), text);
      return true;
    },
    deleteRecord: async (record) => void records.delete(keyOf(record)),
    // It does not search, so core has to leave out what does not begin with the prefix.
    async *listRecords(bucket, shelf) {
      for (const [key, text] of records) if (key.startsWith(`${bucket}/${shelf}/`)) yield text;
    },
  };
}

export function mapPlugin(store: ContentStore): Plugin {
  return definePlugin({
    name: "maps",
    apiVersion: 1,
    summary: "Maps",
    options: { type: "object", additionalProperties: false, properties: {} },
    open: () => store,
    provides: { objectStorage: (opened, { clock }) => objectStorageOver(opened, clock) },
  });
}
