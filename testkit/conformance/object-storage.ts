import { after, before } from "node:test";
import { testArguments } from "./storage-arguments.ts";
import { type ObjectStorageSubject, StorageBench, suite } from "./storage-bench.ts";
import { testBuckets } from "./storage-buckets.ts";
import { testDriver } from "./storage-driver.ts";
import { testLinks } from "./storage-links.ts";
import { testMultipart } from "./storage-multipart.ts";
import { testObjects } from "./storage-objects.ts";
import { testTransfers } from "./storage-transfers.ts";

/**
 * What every `objectStorage` owes, as tests of `node:test`; call it at the top of a test file. Each test opens a registry of its own over the
 * subject's plugin and works in a bucket of its own, through the public face, so that a failure speaks of what a service would see.
 *
 * Read a failing title together with the group above it: "uploads in parts" "take no part after they were aborted". A message that names a
 * code ("expected ERR_HEXKIT_BUCKET_NOT_FOUND, but …") most often means that `classify` does not know what your driver threw: that error is
 * in the message, and the `cause` below it.
 */
export function testObjectStorage(subject: ObjectStorageSubject): void {
  suite(
    `objectStorage: ${subject.name}`,
    () => {
      const bench = new StorageBench(subject);
      before(() => bench.start());
      after(() => bench.stop());
      testDriver(bench);
      testBuckets(bench);
      testObjects(bench);
      testLinks(bench);
      testMultipart(bench);
      testTransfers(bench);
      testArguments(bench);
    },
    subject.skip ?? false,
  );
}
