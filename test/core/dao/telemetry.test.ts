import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { type Span, SpanKind, type SpanOptions, type SpanStatus, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { z } from "zod";
import { openDao } from "./open.ts";

interface Recorded {
  readonly name: string;
  readonly options: SpanOptions;
  status?: SpanStatus;
  ended: boolean;
}

// As small an SDK as an application could register: spans in a list.
const spans: Recorded[] = [];
const tracer = {
  startSpan(name: string, options: SpanOptions = {}): Span {
    const recorded: Recorded = { name, options, ended: false };
    spans.push(recorded);
    const span: Partial<Span> = {
      spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 }),
      recordException: () => {},
      setStatus: (status) => {
        recorded.status = status;
        return span as Span;
      },
      end: () => {
        recorded.ended = true;
      },
    };
    return span as Span;
  },
} as Partial<Tracer> as Tracer;

before(() => void trace.setGlobalTracerProvider({ getTracer: () => tracer }));
after(() => trace.disable());

it("dao: each call is a client span of the database conventions, without ids or filters", async () => {
  await using service = await openDao();
  const dao = await service.factory.open({ name: "people", schema: z.object({ id: z.string() }), idField: "id" });
  spans.splice(0);
  await dao.insert({ id: "canary" });
  await dao.find({ id: "canary" }).toArray();
  await assert.rejects(dao.insert({ id: "canary" }), { code: "ERR_HEXKIT_DOCUMENT_EXISTS" });
  assert.deepEqual([...new Set(spans.map(({ name }) => name))], ["insert people", "find people"]);
  assert.deepEqual(spans[0]?.options, {
    kind: SpanKind.CLIENT,
    attributes: { "db.system.name": "memory", "db.operation.name": "insert", "db.collection.name": "people" },
  });
  assert.ok(
    spans.every(({ ended }) => ended),
    "every span has ended",
  );
  assert.equal(spans[0]?.status, undefined);
  assert.equal(spans.at(-1)?.status?.code, SpanStatusCode.ERROR);
  assert.ok(!JSON.stringify(spans).includes("canary"), JSON.stringify(spans));
});
