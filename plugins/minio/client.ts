import { AsyncLocalStorage } from "node:async_hooks";
import * as http from "node:http";
import * as https from "node:https";
import type { Client, ClientOptions } from "minio";
import { createAgent, failRequest } from "../../core/index.ts";
import { type AnswerError, classifyMinioError } from "./errors.ts";
import type { MinioOptions } from "./options.ts";
import { unescaped } from "./xml.ts";

/** One request, at the level of HTTP. The client signs it, sends it and reads errors. */
export interface Call {
  readonly method: "DELETE" | "GET" | "HEAD" | "POST" | "PUT";
  readonly bucket?: string;
  readonly key?: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string | number | undefined>>;
  readonly payload?: Uint8Array | string;
  readonly signal?: AbortSignal | undefined;
}

/** A form as the client signs it. */
export interface SignedForm {
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** What one provider has. */
export interface MinioClient {
  readonly options: MinioOptions;
  /** Resolves once a successful answer has begun; its body must be read or destroyed. */
  send(call: Call): Promise<http.IncomingMessage>;
  /** Signs without asking the server. */
  form(object: { bucket: string; key: string }, expires: Date, maxBytes: number | undefined): Promise<SignedForm>;
  /** Resolves if the server answers and takes the credentials, whether or not they may list buckets. */
  ping(signal: AbortSignal): Promise<void>;
  /** Ends transfers that are under way. */
  close(): void;
}

/** What the transport learns of the call whose request it makes, and tells about the answer. */
interface Context {
  readonly signal: AbortSignal | undefined;
  status?: number | undefined;
}

/** Makes the client. Connects nothing. */
export async function connect(options: MinioOptions): Promise<MinioClient> {
  const { Client, PostPolicy } = await import("minio");
  const { protocol } = new URL(options.endpoint);
  const secure = protocol === "https:";
  const agent = createAgent(secure ? "https:" : "http:", options, secure ? { ca: options.ca } : {});
  const contexts = new AsyncLocalStorage<Context>();
  const client = new Client({ ...settings(options, options.endpoint), transport: transportOf(contexts, secure), transportAgent: agent });
  const signer = new Client(settings(options, options.publicEndpoint ?? options.endpoint));
  const send = (call: Call): Promise<http.IncomingMessage> => sendBy(client, contexts, options.region, call);
  return {
    options,
    send,
    form: async ({ bucket, key }, expires, maxBytes) => {
      const policy = new PostPolicy();
      policy.setBucket(bucket);
      policy.setKey(key);
      policy.setExpires(expires);
      if (maxBytes !== undefined) policy.setContentLengthRange(0, maxBytes);
      const { postURL, formData } = await signer.presignedPostPolicy(policy);
      return { url: postURL, fields: formData };
    },
    ping: async (signal) => {
      try {
        (await send({ method: "GET", signal })).resume();
      } catch (error) {
        if (classifyMinioError(error) !== "ERR_HEXKIT_PERMISSION_DENIED") throw error;
      }
    },
    close: () => agent.destroy(),
  };
}

function settings(options: MinioOptions, address: string): ClientOptions {
  const { accessKeyId, secretAccessKey, sessionToken, region, pathStyle } = options;
  const { protocol, hostname, port } = new URL(address);
  const useSSL = protocol === "https:";
  return {
    endPoint: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (useSSL ? 443 : 80) : Number(port),
    useSSL,
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    ...(sessionToken !== undefined && { sessionToken }),
    region,
    pathStyle,
    // Core repeats what may be repeated.
    retryOptions: { disableRetry: true },
  };
}

async function sendBy(client: Client, contexts: AsyncLocalStorage<Context>, region: string, call: Call): Promise<http.IncomingMessage> {
  const { method, bucket, key, headers = {}, payload = "", signal } = call;
  const context: Context = { signal };
  const options = {
    method,
    ...(bucket !== undefined && { bucketName: bucket }),
    ...(key !== undefined && { objectName: key }),
    query: queryOf(call.query ?? {}),
    headers: headers as Record<string, string>,
  };
  // As bytes: minio 8.0.7 announces the length of a string in UTF-16.
  const body = typeof payload === "string" ? Buffer.from(payload) : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  try {
    return await contexts.run(context, () => client.makeRequestAsync(options, body, [200, 204, 206], region));
  } catch (error) {
    throw context.status === undefined || !(error instanceof Error) ? error : answerError(error, context.status);
  }
}

/** An answer without a body makes an error without a message; one with a body, a message with entities. */
function answerError(error: Error, status: number): AnswerError {
  error.message = unescaped(error.message) || `the server answered with status ${status}`;
  return Object.assign(error, { status });
}

/** What minio 8.0.7 would repeat, or with retries off report without the server's reason, and with the body left unread. */
const repeated: ReadonlySet<number | undefined> = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/**
 * minio 8.0.7 takes no signal, so that it comes through the async context. The true status is kept for `classify`.
 */
function transportOf(contexts: AsyncLocalStorage<Context>, secure: boolean): { request: typeof http.request } {
  const make = secure ? https.request : http.request;
  const request = (options: http.RequestOptions, answered: (response: http.IncomingMessage) => void): http.ClientRequest => {
    const context = contexts.getStore();
    let response: http.IncomingMessage | undefined;
    const made = make(options, (answer) => {
      response = answer;
      if (context !== undefined) context.status = answer.statusCode;
      if (repeated.has(answer.statusCode)) answer.statusCode = 400;
      answered(answer);
    });
    const signal = context?.signal;
    if (signal !== undefined) {
      const abort = (): void => {
        if (response === undefined) failRequest(made, signal.reason);
        else response.destroy(signal.reason);
      };
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      made.once("close", () => signal.removeEventListener("abort", abort));
    }
    return made;
  };
  return { request: request as typeof http.request };
}

function queryOf(query: Readonly<Record<string, string | number | undefined>>): string {
  return Object.entries(query)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${escaped(String(value))}`]))
    .join("&");
}

/** As the signature wants it: RFC 3986, where `encodeURIComponent` leaves some characters. */
export function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
