import { createRequire } from "node:module";
import { currentCorrelationId } from "./correlation.ts";
import type { ServiceIdentity } from "./names.ts";
import { describeError, type Redact, redactValue } from "./redaction.ts";

/** Takes structured log lines: pino, console and most loggers fit. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Wraps a logger so that every line has the fields `name`, `correlation_id`, `details` and, for an `error` among the fields,
 * `exception`, with every known secret removed. Field names are those of hexkit's log format.
 */
export function contextLogger(target: Logger, redact: Redact, name: string): Logger {
  const line = (fields: object): object => {
    const { error, ...details } = fields as { error?: unknown };
    return {
      name,
      correlation_id: currentCorrelationId() ?? null,
      details: redactValue(details, redact),
      ...(error !== undefined && { exception: describeError(error, redact) }),
    };
  };
  return {
    debug: (fields, message) => target.debug(line(fields), redact(message)),
    info: (fields, message) => target.info(line(fields), redact(message)),
    warn: (fields, message) => target.warn(line(fields), redact(message)),
    error: (fields, message) => target.error(line(fields), redact(message)),
  };
}

/**
 * The default logger: JSON lines on stderr. `level` is one of pino's, or `silent`. pino is loaded by the first line, synchronously
 * so that none is lost when the process ends right after it; a service that starts well and stays silent never pays for it.
 */
export function createPinoLogger(service: ServiceIdentity, level: string): Logger {
  let loaded: Logger | undefined;
  const logger = (): Logger => {
    loaded ??= loadPino(service, level);
    return loaded;
  };
  return {
    debug: (fields, message) => logger().debug(fields, message),
    info: (fields, message) => logger().info(fields, message),
    warn: (fields, message) => logger().warn(fields, message),
    error: (fields, message) => logger().error(fields, message),
  };
}

function loadPino(service: ServiceIdentity, level: string): Logger {
  const pino = createRequire(import.meta.url)("pino") as typeof import("pino").default;
  return pino(
    {
      level,
      messageKey: "message",
      base: { service: service.name, instance: service.instance },
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
