import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { isHexkitError, type Registry } from "hexkit";
import { FileShelf } from "./core/file-shelf.ts";
import { fileServer } from "./translators/http.ts";
import { ObjectFiles } from "./translators/object-files.ts";

/** The file that HEXKIT_CONFIG names, else the one beside this module. */
export const config = process.env.HEXKIT_CONFIG || fileURLToPath(new URL("./hexkit.config.json", import.meta.url));

export interface FileService extends AsyncDisposable {
  readonly url: string;
}

/** Puts port, core and translators together and begins to listen on the loopback interface. Port 0 is any free one. */
export async function startFileService(registry: Registry, port: number): Promise<FileService> {
  const files = new ObjectFiles(registry.get("objectStorage"));
  await files.prepare();
  const server = fileServer(new FileShelf(files)).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Runs a program to its end; an error becomes one readable message (with `--stack` all of it) and exit code 1. */
export async function run(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    const brief = isHexkitError(error) ? `${error.code}: ${error.message}` : String(error);
    console.error(process.argv.includes("--stack") ? error : brief);
    process.exitCode = 1;
  }
}
