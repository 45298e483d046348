import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  type Attributes,
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  type SpanStatus,
  SpanStatusCode,
  type TextMapPropagator,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { at, denied, FakePublisherDriver, FakeSubscriberDriver, openPublisher, openSubscriber, record, turns, until } from "./bench.ts";

// As small an SDK as an application could register: contexts that follow the calls, spans in a list, W3C's header.
class FollowingContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<Given extends unknown[], Work extends (...given: Given) => ReturnType<Work>>(
    of: Context,
    work: Work,
    that?: ThisParameterType<Work>,
    ...given: Given
  ): ReturnType<Work> {
    return this.#storage.run(of, () => work.apply(that as never, given));
  }

  bind<Target>(_of: Context, target: Target): Target {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}

interface Recorded {
  readonly name: string;
  readonly kind: SpanKind | undefined;
  readonly attributes: Attributes | undefined;
  readonly parent: SpanContext | undefined;
  readonly own: SpanContext;
  readonly exceptions: unknown[];
  status: SpanStatus | undefined;
  ended: boolean;
}

const spans: Recorded[] = [];
const tracer: Tracer = {
  startSpan(name: string, options: SpanOptions = {}, of: Context = context.active()): Span {
    const parent = trace.getSpanContext(of);
    const own = {
      traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
      spanId: randomBytes(8).toString("hex"),
      traceFlags: TraceFlags.SAMPLED,
    };
    const recorded: Recorded = {
      name,
      kind: options.kind,
      attributes: options.attributes,
      parent,
      own,
      exceptions: [],
      status: undefined,
      ended: false,
    };
    spans.push(recorded);
    const span: Partial<Span> = {
      spanContext: () => own,
      recordException: (exception) => void recorded.exceptions.push(exception),
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
  startActiveSpan<Work extends (span: Span) => unknown>(name: string, ...rest: unknown[]): ReturnType<Work> {
    const work = rest.at(-1) as Work;
    const [options, of] = rest.slice(0, -1) as [SpanOptions?, Context?];
    const parent = of ?? context.active();
    const span = tracer.startSpan(name, options, parent);
    return context.with(trace.setSpan(parent, span), () => work(span)) as ReturnType<Work>;
  },
};

const w3c: TextMapPropagator = {
  inject(of, carrier, setter) {
    const span = trace.getSpanContext(of);
    if (span) setter.set(carrier, "traceparent", `00-${span.traceId}-${span.spanId}-01`);
  },
  extract(of, carrier, getter) {
    const [, traceId, spanId] = String(getter.get(carrier, "traceparent") ?? "").split("-");
    if (!traceId || !spanId) return of;
    return trace.setSpanContext(of, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
  },
  fields: () => ["traceparent"],
};

const event = { topic: "orders", type: "made", key: "k", payload: {} };

describe("tracing", () => {
  before(() => {
    context.setGlobalContextManager(new FollowingContexts());
    trace.setGlobalTracerProvider({ getTracer: () => tracer });
    propagation.setGlobalPropagator(w3c);
  });
  after(() => {
    context.disable();
    trace.disable();
    propagation.disable();
  });
  beforeEach(() => spans.splice(0));

  it("publishes in a producer span and sends its context as the last header", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    const outer = tracer.startSpan("request");
    await context.with(trace.setSpan(ROOT_CONTEXT, outer), () => service.api.publish({ ...event, headers: { note: "x" } }));
    const headers = driver.sends[0]?.records[0]?.headers ?? [];
    assert.deepEqual(
      headers.map(([name]) => name),
      ["note", "type", "event_id", "correlation_id", "traceparent"],
    );
    const span = spans[1] as Recorded;
    assert.equal(headers.at(-1)?.[1], `00-${outer.spanContext().traceId}-${span.own.spanId}-01`);
    assert.equal(span.parent?.spanId, outer.spanContext().spanId);
    assert.equal(span.name, "send orders");
    assert.equal(span.kind, SpanKind.PRODUCER);
    assert.deepEqual(span.attributes, {
      "messaging.system": "fake",
      "messaging.operation.type": "send",
      "messaging.operation.name": "send",
      "messaging.destination.name": "orders",
      "messaging.message.id": new Map(headers).get("event_id"),
    });
    assert.ok(span.ended);
    assert.equal(span.status, undefined);
  });

  it("lets its own context replace one among headers that are handed on, because readers take the first", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    await service.api.publish({ ...event, headers: { traceparent: "00-stale-stale-01", note: "x" } });
    const headers = driver.sends[0]?.records[0]?.headers ?? [];
    assert.deepEqual(
      headers.map(([name]) => name),
      ["note", "type", "event_id", "correlation_id", "traceparent"],
    );
    assert.equal(headers.at(-1)?.[1].split("-")[2], spans[0]?.own.spanId);
  });

  it("gives each event of publishAll a span of its own, ended when it is stored", async () => {
    const driver = new FakePublisherDriver();
    await using service = await openPublisher(driver);
    const all = service.api.publishAll([event, event]);
    const send = await driver.next();
    assert.deepEqual(
      spans.map(({ ended }) => ended),
      [false, false],
    );
    const parents = send.records.map(({ headers }) => headers.at(-1)?.[1].split("-")[2]);
    assert.deepEqual(
      parents,
      spans.map(({ own }) => own.spanId),
    );
    send.answer();
    await all;
    assert.ok(spans.every(({ ended }) => ended));
  });

  it("marks the span of what could not be published", async () => {
    const driver = new FakePublisherDriver();
    driver.onSend = (send) => send.fail(denied());
    await using service = await openPublisher(driver);
    const error = await service.api.publish(event).catch((reason: unknown) => reason);
    assert.deepEqual(spans[0]?.exceptions, [error]);
    assert.deepEqual(spans[0]?.status, { code: SpanStatusCode.ERROR, message: "HexkitError" });
    assert.ok(spans[0]?.ended);
  });

  it("handles an event in a consumer span under the context of its headers, and publishes under that", async () => {
    const publishing = FakePublisherDriver.obliging();
    await using outgoing = await openPublisher(publishing);
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    service.api.subscribe({
      topics: ["orders"],
      types: ["made"],
      consume: async () => {
        await turns(1);
        await outgoing.api.publish({ ...event, topic: "bills" });
      },
    });
    const member = await driver.member();
    const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
    member.sink.assigned([at("orders")]);
    member.sink.records(at("orders"), [record(0, { headers: { traceparent: `00-${traceId}-${spanId}-01` } })]);
    await until("both spans", () => spans.length === 2 && spans.every(({ ended }) => ended));
    const [consumer, producer] = spans as [Recorded, Recorded];
    assert.equal(consumer.name, "process orders");
    assert.equal(consumer.kind, SpanKind.CONSUMER);
    assert.deepEqual(
      { traceId: consumer.parent?.traceId, spanId: consumer.parent?.spanId, remote: consumer.parent?.isRemote },
      { traceId, spanId, remote: true },
    );
    assert.equal(consumer.attributes?.["messaging.consumer.group.name"], "shop");
    assert.equal(consumer.attributes?.["messaging.operation.type"], "process");
    assert.equal(producer.parent?.spanId, consumer.own.spanId);
    assert.equal(publishing.sends[0]?.records[0]?.headers.at(-1)?.[1], `00-${traceId}-${producer.own.spanId}-01`);
  });

  it("begins a trace where the headers carry none, and marks a handler's failure", async () => {
    const driver = new FakeSubscriberDriver();
    await using service = await openSubscriber(driver);
    const failure = new RangeError("odd");
    const subscription = service.api.subscribe({
      topics: ["orders"],
      types: ["made"],
      consume: () => {
        throw failure;
      },
    });
    const member = await driver.member();
    member.sink.assigned([at("orders")]);
    // Delivered from within some other trace, which is not the event's.
    context.with(trace.setSpan(ROOT_CONTEXT, tracer.startSpan("fetch")), () => member.sink.records(at("orders"), [record(0)]));
    await assert.rejects(subscription.done);
    const span = spans[1] as Recorded;
    assert.equal(span.parent, undefined);
    assert.deepEqual(span.exceptions, [failure]);
    assert.deepEqual(span.status, { code: SpanStatusCode.ERROR, message: "RangeError" });
  });
});

describe("without an SDK", () => {
  it("adds no header, and hands on those that the caller gives", async () => {
    const driver = FakePublisherDriver.obliging();
    await using service = await openPublisher(driver);
    await service.api.publish({ ...event, headers: { traceparent: "00-a-b-01" } });
    assert.deepEqual(
      driver.sends[0]?.records[0]?.headers.map(([name]) => name),
      ["traceparent", "type", "event_id", "correlation_id"],
    );
  });
});
