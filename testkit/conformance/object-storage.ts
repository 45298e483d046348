import { after, before } from "node:test";
import { testArguments } from "./storage-arguments.ts";
import { type ObjectStorageSubject, StorageBench, suite } from "./storage-bench.ts";
import { testBuckets } from "./storage-buckets.ts";
import { testLinks } from "./storage-links.ts";
import { testMultipart } from "./storage-multipart.ts";
import { testObjects } from "./storage-objects.ts";
import { testTransfers } from "./storage-transfers.ts";

/** What every `objectStorage` owes: contract sections 2.7, 3.13 and 6. */
export function testObjectStorage(subject: ObjectStorageSubject): void {
  suite(
    `objectStorage: ${subject.name}`,
    () => {
      const bench = new StorageBench(subject);
      before(() => bench.start());
      after(() => bench.stop());
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
