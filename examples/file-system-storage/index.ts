// #region plugin
import { access, constants, mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { definePlugin, type ErrorCode, type OptionsSchema, objectStorageOver } from "hexkit";
import { folderStore } from "./storage.ts";

const options = {
  type: "object",
  additionalProperties: false,
  required: ["folder"],
  properties: { folder: { type: "string", minLength: 1, description: "Where buckets are kept; made if it is missing." } },
} as const satisfies OptionsSchema;

const codes: Readonly<Record<string, ErrorCode>> = {
  EACCES: "ERR_HEXKIT_PERMISSION_DENIED",
  EPERM: "ERR_HEXKIT_PERMISSION_DENIED",
  EROFS: "ERR_HEXKIT_PERMISSION_DENIED",
  EMFILE: "ERR_HEXKIT_UNAVAILABLE",
  ENFILE: "ERR_HEXKIT_UNAVAILABLE",
  ENOSPC: "ERR_HEXKIT_UNAVAILABLE",
};

export default definePlugin({
  name: "fileSystem",
  apiVersion: 1,
  summary: "Objects as files in a folder",
  options,
  open: async ({ folder }, { clock }) => {
    const path = resolve(folder);
    await mkdir(path, { recursive: true });
    return { path, clock };
  },
  check: ({ path }) => access(path, constants.W_OK),
  classify: (error) => codes[String((error as NodeJS.ErrnoException).code)],
  provides: { objectStorage: ({ path, clock }) => objectStorageOver(folderStore(path), clock) },
});
// #endregion
