import { HexkitError, type Logger } from "../../core/index.ts";
import { type Internals, KafkajsLink } from "./link.ts";
import type { Wire, WireOptions } from "./protocol.ts";

// The only file that imports kafkajs and the codecs' packages. Of kafkajs 2.2.4 is used what speaks the protocol (connections, SASL,
// the encoding of requests; link.ts) and none of its producer, consumer and cluster: those fail a whole request with its first error,
// retry on their own, commit with whatever generation is current and have no word for a revocation.

async function loadKafkajs(): Promise<Internals> {
  await import("kafkajs");
  const inside = async (file: string): Promise<never> => (await import(`kafkajs/src/${file}.js`)).default as never;
  try {
    const [Connection, Encoder, Decoder, { requests }, { createErrorFromCode }, errors, assignerProtocol] = await Promise.all([
      inside("network/connection"),
      inside("protocol/encoder"),
      inside("protocol/decoder"),
      inside("protocol/requests/index") as Promise<Pick<Internals, "requests">>,
      inside("protocol/error") as Promise<Pick<Internals, "createErrorFromCode">>,
      inside("errors") as Promise<Pick<Internals, "KafkaJSConnectionClosedError">>,
      inside("consumer/assignerProtocol") as Promise<Pick<Internals, "MemberMetadata" | "MemberAssignment">>,
    ]);
    const { KafkaJSConnectionClosedError } = errors;
    return { Connection, Encoder, Decoder, requests, createErrorFromCode, KafkaJSConnectionClosedError, ...assignerProtocol };
  } catch (cause) {
    // Not as a missing package: it is there, and installing it would not help.
    throw new HexkitError(
      "ERR_HEXKIT_PACKAGE_MISSING",
      "plugin kafka builds on the inside of kafkajs 2.2.4, and the installed kafkajs differs: npm install kafkajs@2.2.4",
      { cause },
    );
  }
}

/** Makes the wire. Connects nothing. */
export async function createWire(options: WireOptions, logger: Logger): Promise<Wire> {
  const kafkajs = await loadKafkajs();
  return {
    link: (address, clientId) => new KafkajsLink(kafkajs, address, clientId, options, logger),
    error: (code) => (code === 0 ? undefined : kafkajs.createErrorFromCode(code)),
    encodeSubscription: (topics) => kafkajs.MemberMetadata.encode({ version: 0, topics }),
    decodeSubscription: (metadata) => kafkajs.MemberMetadata.decode(metadata).topics,
    encodeAssignment: (assignment) => kafkajs.MemberAssignment.encode({ version: 0, assignment }),
    decodeAssignment: (bytes) => kafkajs.MemberAssignment.decode(bytes)?.assignment ?? {},
  };
}

/** What a codec needs of its package; each has the narrow face of what is used of it. */
export interface CodecPackages {
  snappy(): Promise<{ compress(data: Buffer): Promise<Buffer>; uncompress(data: Buffer): Promise<string | Buffer> }>;
  lz4(): Promise<{ compressFrame(data: Buffer): Promise<Buffer>; decompressFrame(data: Buffer): Promise<Buffer> }>;
  zstd(): Promise<{
    compress(data: Buffer): Uint8Array;
    decompress(data: Buffer): Uint8Array;
    reset(): void;
    decompressChunk(data: Buffer, outputSize: number): Uint8Array;
  }>;
}

export const codecPackages: CodecPackages = {
  snappy: () => import("snappy"),
  lz4: () => import("lz4-napi"),
  zstd: async () => (await import("@hpcc-js/wasm-zstd")).Zstd.load(),
};
