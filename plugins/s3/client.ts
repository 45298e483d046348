import type { Agent } from "node:http";
import type { S3 } from "@aws-sdk/client-s3";
import type * as PresignedPost from "@aws-sdk/s3-presigned-post";
import type * as Presigner from "@aws-sdk/s3-request-presigner";
import { createAgent, HexkitError, type Logger, type ProviderContext } from "../../core/index.ts";
import { classifyS3Error } from "./errors.ts";
import type { S3Options } from "./options.ts";

/** The SDK without what needs Node.js 22, announced for January 2027. */
const sdkRange = ">=3.1164.0 <3.1200.0";
export const sdkPackage = { name: "@aws-sdk/client-s3", range: sdkRange };
/** Needed as well, and loaded with it. */
export const signingPackages = [
  { name: "@aws-sdk/s3-presigned-post", range: sdkRange },
  { name: "@aws-sdk/s3-request-presigner", range: sdkRange },
];

/** What is used of the SDK's client. */
export type S3Api = Pick<
  S3,
  | "abortMultipartUpload"
  | "completeMultipartUpload"
  | "copyObject"
  | "createBucket"
  | "createMultipartUpload"
  | "deleteBucket"
  | "deleteObject"
  | "deleteObjects"
  | "getObject"
  | "headBucket"
  | "headObject"
  | "listBuckets"
  | "listMultipartUploads"
  | "listObjectsV2"
  | "listParts"
  | "putObject"
  | "uploadPart"
  | "uploadPartCopy"
>;

/** Signs without asking the server. Times in seconds. */
export interface S3Signer {
  url(
    operation: "GetObject" | "PutObject" | "UploadPart",
    input: { Bucket: string; Key: string; [field: string]: unknown },
    expiresIn: number,
  ): Promise<string>;
  form(
    object: { Bucket: string; Key: string },
    conditions: ["content-length-range", number, number][],
    expires: number,
  ): Promise<{ url: string; fields: Record<string, string> }>;
}

/** What one provider has. */
export interface S3Client {
  readonly options: S3Options;
  readonly api: S3Api;
  /** For uploads in parts, which carry no checksums: with them, completion would need those of all parts, and links cannot give them. */
  readonly parts: S3Api;
  readonly signer: S3Signer;
  /** Ends transfers that are under way. */
  close(): void;
}

/**
 * Makes the client. Connects nothing.
 * @throws ERR_HEXKIT_CONFIG_INVALID if one of `accessKeyId` and `secretAccessKey` is missing, or `sessionToken` stands alone;
 * ERR_HEXKIT_PACKAGE_MISSING if a package that signs links cannot be loaded.
 */
export async function connect(options: S3Options, context: ProviderContext): Promise<S3Client> {
  checkCredentials(options, context.provider);
  const sdk = await import("@aws-sdk/client-s3");
  const { getSignedUrl, createPresignedPost } = await loadSigning();
  const { endpoint, publicEndpoint = endpoint, checksums = endpoint === undefined ? "WHEN_SUPPORTED" : "WHEN_REQUIRED" } = options;
  const agents = { httpAgent: createAgent("http:", options), httpsAgent: createAgent("https:", options, { ca: options.ca }) };
  const make = (address: string | undefined, checked: "WHEN_REQUIRED" | "WHEN_SUPPORTED"): S3 =>
    withoutNodeWarning(() => new sdk.S3(settings(options, address, checked, agents, context.logger)));
  const api = make(endpoint, checksums);
  const parts = checksums === "WHEN_REQUIRED" ? api : make(endpoint, "WHEN_REQUIRED");
  // Links carry no checksum: one of a body that is not there yet would refuse every upload.
  const signer = make(publicEndpoint, "WHEN_REQUIRED");
  return {
    options,
    api,
    parts,
    signer: {
      url: (operation, input, expiresIn) => {
        // Only a type that was asked for: the SDK adds one of its own, which no client would send.
        const signableHeaders = new Set(input.ContentType === undefined ? [] : ["content-type"]);
        // Their inputs differ, their handling does not.
        const Command = sdk[`${operation}Command`] as typeof sdk.GetObjectCommand;
        return getSignedUrl(signer, new Command(input), { expiresIn, signableHeaders });
      },
      form: (object, conditions, expires) => createPresignedPost(signer, { ...object, Conditions: conditions, Expires: expires }),
    },
    close: () => {
      for (const client of [api, parts, signer]) client.destroy();
    },
  };
}

/** Resolves if the server answers and takes the credentials, whether or not they may list buckets. */
export async function ping({ api }: S3Client, signal: AbortSignal): Promise<void> {
  try {
    await api.listBuckets({ MaxBuckets: 1 }, { abortSignal: signal });
  } catch (error) {
    if (classifyS3Error(error) !== "ERR_HEXKIT_PERMISSION_DENIED") throw error;
  }
}

async function loadSigning(): Promise<Pick<typeof Presigner, "getSignedUrl"> & Pick<typeof PresignedPost, "createPresignedPost">> {
  try {
    const [{ getSignedUrl }, { createPresignedPost }] = await Promise.all([
      import("@aws-sdk/s3-request-presigner"),
      import("@aws-sdk/s3-presigned-post"),
    ]);
    return { getSignedUrl, createPresignedPost };
  } catch (cause) {
    const install = signingPackages.map(({ name, range }) => `${name}@"${range}"`).join(" ");
    throw new HexkitError("ERR_HEXKIT_PACKAGE_MISSING", `plugin s3 needs the packages that sign links: npm install ${install}`, { cause });
  }
}

function settings(
  options: S3Options,
  endpoint: string | undefined,
  checksums: "WHEN_REQUIRED" | "WHEN_SUPPORTED",
  agents: { httpAgent: Agent; httpsAgent: Agent },
  logger: Logger,
): ConstructorParameters<typeof S3>[0] & object {
  const { accessKeyId, secretAccessKey, sessionToken } = options;
  const region = options.region ?? (endpoint === undefined ? undefined : "us-east-1");
  return {
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    ...(accessKeyId !== undefined &&
      secretAccessKey !== undefined && {
        credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      }),
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    // Core repeats what may be repeated.
    maxAttempts: 1,
    // The agents know all time limits; the SDK's own cannot tell waiting for a socket from connecting.
    requestHandler: { ...agents, connectionTimeout: 0, requestTimeout: 0, socketTimeout: 0 },
    // It waits up to six seconds for a 100 that many servers never send.
    expectContinueHeader: false,
    logger: quiet(logger),
  };
}

/** What the SDK would print on the console. Errors are not lost by this: every call rejects with its own. */
function quiet(logger: Logger): {
  trace(): void;
  debug(): void;
  info(): void;
  warn(...content: unknown[]): void;
  error(...content: unknown[]): void;
} {
  const nothing = (): void => {};
  const note = (...content: unknown[]): void =>
    logger.debug({}, `AWS SDK: ${content.filter((each) => typeof each === "string").join(" ")}`);
  return { trace: nothing, debug: nothing, info: nothing, warn: note, error: note };
}

/** The SDK warns once per process about the end of Node.js 20, which the range in `package.json` already keeps away. */
function withoutNodeWarning<Result>(work: () => Result): Result {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).includes("NodeVersionSupportWarning")) emitWarning.call(process, warning, ...rest);
  }) as typeof process.emitWarning;
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function checkCredentials({ accessKeyId, secretAccessKey, sessionToken }: S3Options, provider: string): void {
  const given = [accessKeyId, secretAccessKey].filter((each) => each !== undefined).length;
  if (given === 2 || (given === 0 && sessionToken === undefined)) return;
  throw new HexkitError(
    "ERR_HEXKIT_CONFIG_INVALID",
    `provider "${provider}": set both accessKeyId and secretAccessKey, or neither (and no sessionToken) for the SDK's default chain`,
  );
}
