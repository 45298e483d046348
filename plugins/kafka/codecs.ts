import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { HexkitError } from "../../core/index.ts";
import { type CodecPackages, codecPackages } from "./client.ts";
import type { Codec } from "./records.ts";

type Compress = (data: Buffer) => Promise<Buffer>;
/** Node.js has it from 22.15 on. */
type Zstd = { readonly zstdCompress?: typeof zlib.gzip; readonly zstdDecompress?: typeof zlib.gunzip };

export const codecNames = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type CodecName = (typeof codecNames)[number];

/** What to install for a codec that Node.js does not bring; the package's manifest names the same ranges. */
export const codecInstalls: Readonly<Partial<Record<CodecName, { readonly name: string; readonly range: string }>>> = {
  snappy: { name: "snappy", range: "^7.4.3" },
  lz4: { name: "lz4-napi", range: "^2.10.0" },
  zstd: { name: "@hpcc-js/wasm-zstd", range: "^1.12.5" },
};

/** The codecs of this process, each loaded when first needed. */
export class Codecs {
  readonly #packages: CodecPackages;
  readonly #native: Zstd;
  readonly #loaded = new Map<CodecName, Promise<Codec>>();

  constructor(packages: CodecPackages = codecPackages, native: Zstd = zlib as Zstd) {
    this.#packages = packages;
    this.#native = native;
  }

  /** @throws ERR_HEXKIT_PACKAGE_MISSING if its package cannot be loaded. */
  get(name: Exclude<CodecName, "none">): Promise<Codec> {
    let codec = this.#loaded.get(name);
    if (codec === undefined) {
      codec = this.#load(name);
      this.#loaded.set(name, codec);
      // Whoever waits hears of it; the next one tries again.
      codec.catch(() => this.#loaded.delete(name));
    }
    return codec;
  }

  /** Gives back the records that a batch names this codec for. */
  async decompress(id: number, records: Buffer): Promise<Buffer> {
    const name = codecNames[id];
    if (name === undefined)
      throw new HexkitError("ERR_HEXKIT_UNSUPPORTED", `records are compressed by a codec of the unknown number ${id}`);
    return name === "none" ? records : (await this.get(name)).decompress(records);
  }

  async #load(name: Exclude<CodecName, "none">): Promise<Codec> {
    const id = codecNames.indexOf(name);
    try {
      if (name === "gzip") return { id, compress: promisify(zlib.gzip) as Compress, decompress: promisify(zlib.gunzip) as Compress };
      if (name === "snappy") {
        const { compress, uncompress } = await this.#packages.snappy();
        return { id, compress, decompress: (data) => readSnappy(data, async (block) => Buffer.from(await uncompress(block))) };
      }
      if (name === "lz4") {
        const { compressFrame, decompressFrame } = await this.#packages.lz4();
        return { id, compress: compressFrame, decompress: decompressFrame };
      }
      const { zstdCompress, zstdDecompress } = this.#native;
      if (zstdCompress !== undefined && zstdDecompress !== undefined)
        return { id, compress: promisify(zstdCompress) as Compress, decompress: promisify(zstdDecompress) as Compress };
      const zstd = await this.#packages.zstd();
      return { id, compress: async (data) => Buffer.from(zstd.compress(data)), decompress: async (data) => readZstd(data, zstd) };
    } catch (cause) {
      const install = codecInstalls[name];
      const fact = `the compression ${name} needs the package ${install?.name} (${install?.range})`;
      throw new HexkitError("ERR_HEXKIT_PACKAGE_MISSING", `${fact}: npm install ${install?.name}@"${install?.range}"`, { cause });
    }
  }
}

const xerial = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);

/** Java's client cuts snappy into blocks behind a head of its own, others write one block without it. */
async function readSnappy(data: Buffer, uncompress: Compress): Promise<Buffer> {
  if (!data.subarray(0, xerial.length).equals(xerial)) return uncompress(data);
  const blocks: Buffer[] = [];
  // After the head: two numbers that say which version it is.
  for (let at = xerial.length + 8; at < data.length; ) {
    const end = at + 4 + data.readInt32BE(at);
    blocks.push(await uncompress(data.subarray(at + 4, end)));
    at = end;
  }
  return Buffer.concat(blocks);
}

/** Java's client does not write how long the content is, and then version 1.12 of the package guesses, at times too little. */
function readZstd(data: Buffer, zstd: Awaited<ReturnType<CodecPackages["zstd"]>>): Buffer {
  try {
    return Buffer.from(zstd.decompress(data));
  } catch (error) {
    if (!/too small/.test((error as Error).message)) throw error;
  }
  for (let size = 4 * Math.max(data.length * 20, 1_048_576); ; size *= 4) {
    zstd.reset();
    const content = zstd.decompressChunk(data, size);
    if (content.length < size) return Buffer.from(content);
  }
}
