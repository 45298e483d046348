import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { isHexkitError } from "hexkit";
import { type FileShelf, ShelfError } from "../core/file-shelf.ts";

/** Inbound: HTTP → the shelf. `PUT`, `GET` and `DELETE` of `/files/<name>`, `GET /files`, `GET /links/<name>`. */
export function fileServer(shelf: FileShelf): Server {
  return createServer((request, response) => {
    answer(shelf, request, response).catch((error) => refuse(request, response, error));
  });
}

async function answer(shelf: FileShelf, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, folder, encoded = ""] = (request.url ?? "").split("/");
  const name = decodeURIComponent(encoded);
  const what = `${request.method} ${folder}${encoded === "" ? "" : "/"}`;
  if (what === "PUT files/") {
    // The connection outlives a body that cannot be stored, so that the client hears why.
    const content = request.iterator({ destroyOnReturn: false });
    return send(response, 201, await shelf.put(name, request.headers["content-type"] ?? "application/octet-stream", content));
  }
  if (what === "GET files/") {
    const { type, bytes, content } = await shelf.take(name);
    response.writeHead(200, { "content-type": type, "content-length": bytes });
    return pipeline(content, response);
  }
  if (what === "GET links/") return send(response, 200, { url: await shelf.share(name) });
  if (what === "GET files") return send(response, 200, await shelf.list());
  if (what === "DELETE files/") {
    await shelf.remove(name);
    return send(response, 200, {});
  }
  send(response, 404, { error: "try /files, /files/<name> or /links/<name>" });
}

function send(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(content)}\n`);
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) response.destroy();
  else {
    // What is left of a body that was not read to its end would be taken for the next request.
    if (!request.complete) response.setHeader("connection", "close");
    const { status, message } = explain(error);
    send(response, status, { error: message });
  }
}

function explain(error: unknown): { readonly status: number; readonly message: string } {
  if (error instanceof ShelfError) return { status: error.kind === "missing" ? 404 : 400, message: error.message };
  if (error instanceof URIError) return { status: 400, message: "the name is not encoded as it should be" };
  console.error(isHexkitError(error) ? `${error.code}: ${error.message}` : error);
  const away = isHexkitError(error) && (error.category === "unavailable" || error.category === "lifecycle");
  return away ? { status: 503, message: "the storage cannot be reached" } : { status: 500, message: "it failed" };
}
