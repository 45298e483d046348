import {
  type Attributes,
  context,
  INVALID_TRACEID,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";

// Everything here costs next to nothing and does nothing until the application registers an OpenTelemetry SDK.
const tracer = trace.getTracer("hexkit");

/**
 * Whether there is anything to record, read or send along. The provider is the API's own and has nothing behind it until an SDK is registered;
 * one of another copy of the API is taken for an SDK. Asked for every event: what follows costs more than all else that is done for it.
 */
function isTraced(): boolean {
  const provider = trace.getTracerProvider();
  return (
    !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer("hexkit") !== undefined || propagation.fields().length > 0
  );
}

/** Fields of the context's trace, as headers to send along; empty without an SDK. */
function traceHeaders(): [name: string, value: string][] {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return Object.entries(carrier);
}

async function inSpan<Result>(span: Span, work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : "" });
    throw error;
  } finally {
    span.end();
  }
}

/** Runs `send` in a producer span of OpenTelemetry's messaging conventions, handing it the headers that carry the trace. */
export function producerSpan<Result>(
  attributes: MessagingAttributes,
  send: (headers: readonly [string, string][]) => Promise<Result>,
): Promise<Result> {
  if (!isTraced()) return send([]);
  const parent = context.active();
  const span = tracer.startSpan(
    `send ${attributes.topic}`,
    { kind: SpanKind.PRODUCER, attributes: conventions(attributes, "send") },
    parent,
  );
  // Without an SDK: nothing to record, nothing to send along.
  if (span.spanContext().traceId === INVALID_TRACEID) return send(traceHeaders());
  return context.with(trace.setSpan(parent, span), () => inSpan(span, () => send(traceHeaders())));
}

/** Runs `handle` in a consumer span whose parent is the trace that the event's headers carry. */
export function consumerSpan<Result>(
  attributes: MessagingAttributes,
  headers: Readonly<Record<string, string>>,
  handle: () => Result | Promise<Result>,
): Result | Promise<Result> {
  if (!isTraced()) return handle();
  const parent = propagation.extract(ROOT_CONTEXT, headers);
  const span = tracer.startSpan(
    `process ${attributes.topic}`,
    { kind: SpanKind.CONSUMER, attributes: conventions(attributes, "process") },
    parent,
  );
  // Without an SDK: nothing to record, nothing to hand on.
  if (span.spanContext().traceId === INVALID_TRACEID) return handle();
  return context.with(trace.setSpan(parent, span), () => inSpan(span, handle));
}

/** Runs one call of a database in a client span of OpenTelemetry's database conventions. Names only: no filter, no id. */
export function databaseSpan<Result>({ system, operation, collection }: DatabaseAttributes, work: () => Promise<Result>): Promise<Result> {
  if (!isTraced()) return work();
  const parent = context.active();
  const attributes = { "db.system.name": system, "db.operation.name": operation, "db.collection.name": collection };
  const span = tracer.startSpan(`${operation} ${collection}`, { kind: SpanKind.CLIENT, attributes }, parent);
  if (span.spanContext().traceId === INVALID_TRACEID) return work();
  return context.with(trace.setSpan(parent, span), () => inSpan(span, work));
}

interface DatabaseAttributes {
  readonly system: string;
  readonly operation: string;
  readonly collection: string;
}

export interface MessagingAttributes {
  readonly system: string;
  readonly topic: string;
  readonly eventId: string;
  readonly group?: string;
}

function conventions({ system, topic, eventId, group }: MessagingAttributes, operation: "send" | "process"): Attributes {
  return {
    "messaging.system": system,
    "messaging.operation.type": operation,
    "messaging.operation.name": operation,
    "messaging.destination.name": topic,
    "messaging.message.id": eventId,
    ...(group !== undefined && { "messaging.consumer.group.name": group }),
  };
}
