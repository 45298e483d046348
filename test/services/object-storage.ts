import type { Plugin } from "../../core/index.ts";
import { type StorageQuirks, testObjectStorage } from "../../testkit/conformance/index.ts";
import { variable } from "./servers.ts";

/** The S3 servers of the tests, by the prefix of their variables. */
export type S3ServerName = "MINIO" | "VERSITYGW";

/** Options of both plugins for a server. */
export function optionsFor(server: S3ServerName): Record<string, unknown> & { endpoint: string } {
  return {
    endpoint: endpointOf(server),
    accessKeyId: variable(`${server}_ACCESS_KEY_ID`),
    secretAccessKey: variable(`${server}_SECRET_ACCESS_KEY`),
    region: variable(`${server}_REGION`),
  };
}

// Written out, because the runner starts what it finds here.
function endpointOf(server: S3ServerName): string {
  return server === "MINIO" ? variable("MINIO_ENDPOINT") : variable("VERSITYGW_ENDPOINT");
}

/** How the servers differ from one another; the plugins' READMEs say it as well. */
const quirks: Readonly<Record<S3ServerName, StorageQuirks>> = {
  MINIO: { keysArePaths: true },
  VERSITYGW: { keysArePaths: true, keepsOldMetadata: true, storesTornRequests: true },
};

/** The conformance of a plugin on both servers. */
export function testOnServers(plugin: Plugin): void {
  for (const server of ["MINIO", "VERSITYGW"] as const) {
    testObjectStorage({
      name: `${plugin.name} on ${server === "MINIO" ? "MinIO" : "Versity's gateway"}`,
      plugin,
      expects: { conditionalPut: true, conditionalComplete: true, links: true, postForm: true, partCopy: true, tenants: false },
      quirks: quirks[server],
      open: async () => ({ options: optionsFor(server), close: async () => {} }),
    });
  }
}
