import type { DriverOf, EventSource, ProtocolName, ProviderContext, SourceRecord, TopicPartition } from "../../core/index.ts";

type Answering = (...args: never[]) => Promise<unknown> | AsyncIterable<unknown>;
type MethodsOf<Driver> = [Driver] extends [never]
  ? never
  : { [Name in keyof Driver & string]: NonNullable<Driver[Name]> extends Answering ? Name : never }[keyof Driver & string];
type DriverOperation = { [Name in ProtocolName]: `${Name}.${MethodsOf<DriverOf<Name>>}` }[ProtocolName];

/** What is not a method of a driver itself. */
interface OtherOperations {
  "provider.open": (options: object, context: ProviderContext) => Promise<unknown>;
  "provider.check": (client: unknown, signal: AbortSignal) => Promise<void>;
  /** Of the source that `eventSubscriber.join` resolves with. */
  "eventSubscriber.acknowledge": EventSource["acknowledge"];
  "eventSubscriber.leave": EventSource["leave"];
  /** The delivery of records of one partition. Its failure is the source's: it gives up, with `EventSink.failed`, and delivers nothing more. */
  "eventSubscriber.records": (partition: TopicPartition, records: readonly SourceRecord[]) => Promise<void>;
}

/**
 * What faults can be planned for, as `protocol.method`: every method of a driver that answers with a promise or an async iterable, such as
 * `eventPublisher.send` or `eventSubscriber.join`, of protocols of your own too; and `provider.open`, `provider.check`,
 * `eventSubscriber.acknowledge`, `eventSubscriber.leave`, `eventSubscriber.records`.
 */
export type Operation = keyof OtherOperations | DriverOperation;

type MethodOf<Op extends Operation> = Op extends keyof OtherOperations
  ? OtherOperations[Op]
  : Op extends `${infer Name extends ProtocolName}.${infer Method}`
    ? Method extends keyof DriverOf<Name>
      ? NonNullable<DriverOf<Name>[Method]>
      : never
    : never;

export type ArgumentsOf<Op extends Operation> = MethodOf<Op> extends (...args: infer Args extends unknown[]) => unknown ? Args : never;
export type AnswerOf<Op extends Operation> = MethodOf<Op> extends (...args: never[]) => infer Answer ? Awaited<Answer> : never;

/** Takes one call through the plan. Without a fault for it, it is the real call and nothing else, also if that answers at once. */
export type Run = (operation: string, args: readonly unknown[], real: (...args: never[]) => unknown) => unknown;
