export interface KafkaServer {
  /** The script's variables: `KAFKA_BROKERS`, …. */
  readonly addresses: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface ScriptedKafka extends KafkaServer {
  /** SIGKILL, with the data kept. */
  kill(): Promise<string>;
  /** On the same ports, with the data kept. */
  restart(): Promise<string>;
  /** Runs one of Kafka's own tools. */
  tool(...args: string[]): Promise<string>;
}

export function startKafka(options: { settings?: Record<string, string>; container: false }): Promise<ScriptedKafka>;
export function startKafka(options?: { settings?: Record<string, string>; container?: boolean }): Promise<KafkaServer>;
export function watch(command: string, args: string[]): () => void;
