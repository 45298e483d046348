import { constants } from "node:fs";
import { access, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { definePlugin, type OptionsSchema } from "hexkit";
import { mailProtocol } from "./protocol.ts";

const options = {
  type: "object",
  additionalProperties: false,
  required: ["folder"],
  properties: { folder: { type: "string", minLength: 1, description: "Where letters are laid down; made if it is missing." } },
} as const satisfies OptionsSchema;

export const plugin = definePlugin({
  name: "mailFolder",
  apiVersion: 1,
  summary: "Letters as files in a folder, for development and for a mailer that picks them up",
  options,
  protocols: [mailProtocol],
  open: async ({ folder }) => {
    await mkdir(folder, { recursive: true });
    return { path: resolve(folder) };
  },
  check: ({ path }) => access(path, constants.W_OK),
  classify: (error) => ((error as NodeJS.ErrnoException).code === "ENOSPC" ? "ERR_HEXKIT_UNAVAILABLE" : undefined),
  provides: {
    mail: ({ path }) => ({
      async deliver({ id, message }, { signal }) {
        const draft = join(path, `${id}.draft`);
        try {
          await writeFile(draft, message, { signal });
          // In one step, so that nobody picks up half a letter.
          await rename(draft, join(path, `${id}.eml`));
        } catch (error) {
          await rm(draft, { force: true });
          throw error;
        }
      },
    }),
  },
});
