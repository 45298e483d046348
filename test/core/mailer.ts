import {
  type CallOptions,
  defineComposedProtocol,
  definePlugin,
  defineProtocol,
  type ErrorCode,
  type Logger,
  type OpenOptions,
  type OptionsOf,
  openRegistry,
  type Plugin,
  type ProtocolContext,
  type ProtocolDefinition,
  type ProtocolTypes,
  type ProviderContext,
  type Registry,
} from "hexkit";

/** A protocol of its own, as a user would add one. */
export interface Mailer {
  mail(to: string, text: string, options?: CallOptions & { readonly from?: string }): Promise<void>;
  readonly context: ProtocolContext;
}

export interface MailerDriver {
  send(letter: Letter, options: CallOptions): Promise<void>;
}

export interface Letter {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

/** A composed protocol: one letter to everybody, and an event about it. */
export interface Newsletter {
  announce(text: string): Promise<void>;
  readonly parts: readonly string[];
  readonly recipients: number;
}

declare module "hexkit" {
  interface Protocols {
    mailer: ProtocolTypes<Mailer, MailerDriver>;
    newsletter: ProtocolTypes<Newsletter, never>;
  }
}

export const mailerProtocol: ProtocolDefinition = defineProtocol({
  name: "mailer",
  id: "test/mailer",
  version: 1,
  summary: "Sends letters.",
  methods: { send: true },
  settings: {
    type: "object",
    additionalProperties: false,
    properties: {
      from: { type: "string", minLength: 1, default: "office", description: "The sender." },
      maxLength: { type: "integer", minimum: 1, description: "Longest letter, in characters." },
    },
  },
  create: (driver, context) => ({
    context,
    async mail(to, text, { signal, ...some } = {}) {
      const { from, maxLength } = context.overlay(some);
      if (maxLength !== undefined && text.length > maxLength) throw context.error("ERR_HEXKIT_MESSAGE_TOO_LARGE", "mail: too long");
      await context.call("mail", to, { signal }, (inner) => driver.send({ from, to, text }, { signal: inner }));
    },
  }),
});

export const newsletterProtocol: ProtocolDefinition = defineComposedProtocol({
  name: "newsletter",
  id: "test/newsletter",
  version: 1,
  summary: "Sends a letter to all.",
  composes: { mailer: "mailer", eventPublisher: "eventPublisher" },
  settings: {
    type: "object",
    additionalProperties: false,
    properties: { recipients: { type: "integer", minimum: 1, default: 2, description: "How many." } },
  },
  create: (parts, context) => {
    context.onClose("relays", async () => void parts.mailer.driver.send({ from: context.binding, to: "archive", text: "closed" }, {}));
    return {
      parts: Object.values(parts).map((part) => part.context.binding),
      recipients: context.settings.recipients,
      announce: async (text) => {
        for (let each = 1; each <= context.settings.recipients; each += 1) {
          await context.call("announce", `#${each}`, undefined, () =>
            parts.mailer.driver.send({ from: context.binding, to: `#${each}`, text }, {}),
          );
        }
      },
    };
  },
});

const postOptions = {
  type: "object",
  additionalProperties: false,
  properties: {
    host: { type: "string", default: "localhost", description: "Where the post office is." },
    port: { type: "integer", description: "Its port." },
    password: { type: "string", writeOnly: true, description: "What it asks for." },
    stamps: {
      type: "object",
      additionalProperties: false,
      description: "What is stuck on.",
      properties: {
        country: { type: "string", description: "Whose." },
        code: { type: "string", writeOnly: true, description: "Secret." },
      },
    },
  },
} as const;

export type PostOptions = OptionsOf<typeof postOptions>;

export interface PostOffice {
  readonly provider: string;
  readonly options: PostOptions;
}

/** What a test replaces of the post plugin. Each is told the provider, because one plugin may have several. */
export interface PostBehaviour {
  readonly name?: string;
  readonly apiVersion?: number;
  readonly package?: { readonly name: string; readonly range: string };
  readonly protocols?: readonly ProtocolDefinition[];
  open?(office: PostOffice, context: ProviderContext): void | Promise<void>;
  check?(office: PostOffice, signal: AbortSignal): void | Promise<void>;
  close?(office: PostOffice): void | Promise<void>;
  send?(letter: Letter, office: PostOffice, options: CallOptions): void | Promise<void>;
  createDriver?(office: PostOffice): void | Promise<void>;
  classify?(error: unknown): ErrorCode | undefined;
}

/** A plugin for `mailer` that notes in `journal` what happens to it: `events: open`, `events: letter to ann from office`. */
export function postPlugin(journal: string[], behaviour: PostBehaviour = {}): Plugin {
  return definePlugin({
    name: behaviour.name ?? "post",
    apiVersion: behaviour.apiVersion ?? 1,
    summary: "Letters for tests",
    options: postOptions,
    ...(behaviour.package && { package: behaviour.package }),
    protocols: behaviour.protocols ?? [mailerProtocol, newsletterProtocol],
    async open(options, context): Promise<PostOffice> {
      const office = { provider: context.provider, options };
      journal.push(`${office.provider}: open`);
      await behaviour.open?.(office, context);
      return office;
    },
    async check(office, signal) {
      journal.push(`${office.provider}: check`);
      await behaviour.check?.(office, signal);
    },
    async close(office) {
      journal.push(`${office.provider}: close`);
      await behaviour.close?.(office);
    },
    ...(behaviour.classify && { classify: behaviour.classify }),
    provides: {
      async mailer(office) {
        await behaviour.createDriver?.(office);
        return {
          async send(letter, options) {
            journal.push(`${office.provider}: letter to ${letter.to} from ${letter.from}: ${letter.text}`);
            await behaviour.send?.(letter, office, options);
          },
        };
      },
    },
  });
}

/** Takes log lines and keeps them. */
export interface RecordingLogger extends Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: Record<string, unknown> }[];
}

export function recordingLogger(): RecordingLogger {
  const lines: RecordingLogger["lines"] = [];
  const take =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push({ level, message, fields: { ...fields } });
  return { lines, debug: take("debug"), info: take("info"), warn: take("warn"), error: take("error") };
}

/** Opens without the environment of the process and without a word. */
export function open(options: OpenOptions): Promise<Registry> {
  return openRegistry({ env: {}, logger: recordingLogger(), ...options });
}

/** `{ protocols: { mailer: "a", "mailer:b": "b" }, providers: … }`: one provider of the plugin per binding. */
export function mailers(providers: readonly string[], plugin = "post", lifecycle: object = {}): object {
  return {
    service: { name: "office", instance: "1" },
    lifecycle,
    providers: Object.fromEntries(providers.map((name) => [name, { plugin }])),
    protocols: Object.fromEntries(providers.map((name, index) => [index === 0 ? "mailer" : `mailer:${name}`, name])),
  };
}

export const memoryEvents = {
  service: { name: "office", instance: "1" },
  protocols: { eventPublisher: "memory", eventSubscriber: "memory" },
} as const;

/** A promise that a test settles. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  let release!: () => void;
  const passed = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { passed, open: release };
}
