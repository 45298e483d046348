import { createHash } from "node:crypto";
import { openRegistry } from "hexkit";
import { config, run, startFileService } from "./service.ts";

const MiB = 2 ** 20;

/** 20 MiB whose length is announced to nobody. */
async function* numbers(): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < 20; n += 1) yield new Uint8Array(MiB).fill(n);
}

async function digest(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of content) hash.update(chunk);
  return hash.digest("hex").slice(0, 16);
}

await run(async () => {
  await using registry = await openRegistry({ config });
  await using service = await startFileService(registry, 0);
  const ask = async (method: string, path: string, init: object = {}): Promise<Response> =>
    fetch(`${service.url}${path}`, { method, ...init });
  const show = async (method: string, path: string, init?: object): Promise<void> => {
    const answer = await ask(method, path, init);
    console.log(`${method.padEnd(6)} ${path.padEnd(26)} ${answer.status} ${(await answer.text()).trim()}`);
  };

  await show("PUT", "/files/gr%C3%BC%C3%9Fe.txt", { body: "Grüße, files!", headers: { "content-type": "text/plain; charset=utf-8" } });
  await show("PUT", "/files/numbers.bin", { body: ReadableStream.from(numbers()), duplex: "half" });
  await show("GET", "/files");
  await show("GET", "/files/gr%C3%BC%C3%9Fe.txt");
  const large = await ask("GET", "/files/numbers.bin");
  const same = (await digest(large.body as AsyncIterable<Uint8Array>)) === (await digest(numbers()));
  console.log(`numbers.bin came back ${same ? "as it was sent" : "changed"}`);

  const { url } = (await (await ask("GET", "/links/gr%C3%BC%C3%9Fe.txt")).json()) as { url: string };
  const linked = await fetch(url);
  console.log(`by its link, without the service: ${linked.status} ${await linked.text()}`);
  console.log(`as ${linked.headers.get("content-disposition")}`);
  await show("GET", "/files/missing.txt");
  await show("PUT", "/files/..%2Fescape", { body: "x" });
  await show("DELETE", "/files/gr%C3%BC%C3%9Fe.txt");
  await show("DELETE", "/files/numbers.bin");
  await show("GET", "/files");
});
