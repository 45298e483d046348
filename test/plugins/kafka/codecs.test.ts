import assert from "node:assert/strict";
import { test } from "node:test";
import { Zstd } from "@hpcc-js/wasm-zstd";
import { compress as compressSnappy } from "snappy";
import { codecPackages } from "../../../plugins/kafka/client.ts";
import { Codecs, codecNames } from "../../../plugins/kafka/codecs.ts";

const content = Buffer.from("a record, and another one; ".repeat(200_000));
const missing = async (): Promise<never> => {
  throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
};

for (const name of ["gzip", "snappy", "lz4", "zstd"] as const) {
  test(`what ${name} compresses it gives back, and its number is the protocol's`, async () => {
    const codecs = new Codecs();
    const codec = await codecs.get(name);
    const compressed = await codec.compress(content);
    assert.ok(compressed.length < content.length / 10);
    assert.ok(content.equals(await codecs.decompress(codecNames.indexOf(name), compressed)));
    assert.equal(codec.id, { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }[name]);
  });
}

test("zstd comes from Node.js where that has it, else from its package; each reads what the other wrote", async () => {
  const [own, packaged] = await Promise.all([new Codecs().get("zstd"), new Codecs(codecPackages, {}).get("zstd")]);
  assert.ok(content.equals(await own.decompress(await packaged.compress(content))));
  assert.ok(content.equals(await packaged.decompress(await own.compress(content))));
});

test("zstd that does not say how long its content is, as Java writes it, is read whatever it grows to", async () => {
  const zstd = await Zstd.load();
  zstd.reset();
  const frame = Buffer.concat([zstd.compressChunk(content), zstd.compressEnd()]);
  assert.ok(frame.length * 20 < content.length);
  assert.ok(content.equals(await new Codecs(codecPackages, {}).decompress(4, frame)));
  const broken = Buffer.from(frame);
  broken.fill(0xff, 6);
  await assert.rejects(new Codecs(codecPackages, {}).decompress(4, broken));
});

test("snappy in the blocks of Java's client is read", async () => {
  const head = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  const blocks: Buffer[] = [];
  for (let at = 0; at < content.length; at += 32_768) {
    const block = await compressSnappy(content.subarray(at, at + 32_768));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    blocks.push(length, block);
  }
  assert.ok(content.equals(await new Codecs().decompress(2, Buffer.concat([head, ...blocks]))));
});

test("a package that is not installed is named with the command that installs it, and is looked for again", async () => {
  let installed = false;
  const codecs = new Codecs(
    { ...codecPackages, snappy: () => (installed ? codecPackages.snappy() : missing()), lz4: missing, zstd: missing },
    {},
  );
  for (const [name, install] of [
    ["snappy", 'snappy@"^7.4.3"'],
    ["lz4", 'lz4-napi@"^2.10.0"'],
    ["zstd", '@hpcc-js/wasm-zstd@"^1.12.5"'],
  ] as const) {
    await assert.rejects(codecs.get(name), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ERR_HEXKIT_PACKAGE_MISSING");
      assert.ok(error.message.endsWith(`npm install ${install}`), error.message);
      return true;
    });
  }
  installed = true;
  await codecs.get("snappy");
});

test("a codec of an unknown number is refused, and none is none", async () => {
  await assert.rejects(new Codecs().decompress(7, content), { code: "ERR_HEXKIT_UNSUPPORTED" });
  assert.equal(await new Codecs().decompress(0, content), content);
});
