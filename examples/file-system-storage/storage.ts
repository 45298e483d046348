import { createHash, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContentStore, RecordRef } from "hexkit";

/** `<root>/<bucket>/`: `objects`, `uploads` and `parts` hold records, `contents` the contents. A bucket is there while its `objects` is. */
export function folderStore(root: string): ContentStore {
  const contentPath = (bucket: string, id: string): string => join(root, bucket, "contents", id);
  /** A hash: any name is a good file name, on every system, and none is a way out of the folder. */
  const recordPath = ({ bucket, shelf, name }: RecordRef): string =>
    join(root, bucket, shelf, `${createHash("sha256").update(name).digest("hex")}.json`);
  const bucketExists = (bucket: string): Promise<boolean> =>
    stat(join(root, bucket, "objects")).then(() => true, unless(false, "ENOENT", "ENOTDIR"));

  return {
    // #region records
    /** `link` fails where something is, `rename` replaces it, both in one step. */
    conditional: true,

    async setRecord(record, text, { ifAbsent }) {
      const draft = contentPath(record.bucket, randomUUID());
      try {
        await writeFile(draft, text);
        return await (ifAbsent ? link : rename)(draft, recordPath(record)).then(() => true, unless(false, "EEXIST"));
      } finally {
        await rm(draft, { force: true });
      }
    },

    getRecord: (record) => readFile(recordPath(record), "utf8").catch(unless(undefined, "ENOENT")),

    deleteRecord: (record) => rm(recordPath(record), { force: true }),

    async *listRecords(bucket, shelf) {
      for (const file of await readdir(join(root, bucket, shelf))) {
        const text = await readFile(join(root, bucket, shelf, file), "utf8").catch(unless(undefined, "ENOENT"));
        if (text !== undefined) yield text;
      }
    },
    // #endregion

    // #region contents
    writeContent: (bucket, id, content, { signal }) => writeFile(contentPath(bucket, id), content, { signal }),

    async readContent(bucket, id, range) {
      const file = await open(contentPath(bucket, id)).catch(unless(undefined, "ENOENT"));
      // The stream closes the file at its end and when it is destroyed, also unread.
      return file?.createReadStream({ ...range });
    },

    deleteContent: (bucket, id) => rm(contentPath(bucket, id), { force: true }),
    // #endregion

    async createBucket(bucket) {
      for (const folder of ["contents", "uploads", "parts"]) await mkdir(join(root, bucket, folder), { recursive: true });
      return mkdir(join(root, bucket, "objects")).then(() => true, unless(false, "EEXIST"));
    },

    bucketExists,

    async listBuckets() {
      const names = await readdir(root);
      const there = await Promise.all(names.map(bucketExists));
      return names.filter((_, index) => there[index]).map((bucket) => ({ bucket }));
    },

    async deleteBucket(bucket) {
      const empty = await rmdir(join(root, bucket, "objects")).then(() => true, unless(false, "ENOTEMPTY", "EEXIST"));
      if (empty) await rm(join(root, bucket), { recursive: true, force: true });
      return empty;
    },
  };
}

// #region unless
/** What an error of the file system means to one call; every other goes on to `classify`. */
function unless<Value>(value: Value, ...codes: readonly string[]): (error: NodeJS.ErrnoException) => Value {
  return (error) => {
    if (codes.includes(error.code ?? "")) return value;
    throw error;
  };
}
// #endregion
