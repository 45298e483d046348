// A process of a scenario of the outbox. It opens its service, says that it is ready, and writes what it is told to. It answers by IPC.
import { type OutboxService, openOutboxService, openThings, type Point, type Thing } from "./outbox-service.ts";

export interface WriteOrder {
  readonly things: readonly Thing[];
  /** At the how manieth passing of which point the process kills itself. */
  readonly kill?: { readonly point: Point; readonly passing: number };
  /** Milliseconds between two writes. */
  readonly pauseMs: number;
}

export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "written"; readonly id: string; readonly n: number }
  | { readonly kind: "done" };

const service = JSON.parse(process.argv[2] as string) as OutboxService;
const say = (message: WorkerMessage): void => void process.send?.(message);
process.on("disconnect", () => process.exit(3));

let kill: WriteOrder["kill"];
let passed = 0;
const registry = await openOutboxService(service, (point) => {
  if (point !== kill?.point) return;
  passed += 1;
  if (passed >= kill.passing) process.kill(process.pid, "SIGKILL");
});

process.on("message", (order: WriteOrder | "end") => {
  if (order === "end") void registry.close().then(() => process.exit(0));
  else void write(order);
});
say({ kind: "ready" });

async function write(order: WriteOrder): Promise<void> {
  kill = order.kill;
  const box = await openThings(registry, service);
  for (const thing of order.things) {
    await box.upsert({ ...thing, at: Date.now() });
    say({ kind: "written", id: thing.id, n: thing.n });
    if (order.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, order.pauseMs));
  }
  say({ kind: "done" });
}
