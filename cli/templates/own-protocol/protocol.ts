import { type CallOptions, defineProtocol, type OptionsSchema, type ProtocolDefinition, type ProtocolTypes } from "hexkit";

/** What services call. */
export interface Notifier {
  /**
   * Resolves once the notice is on its way.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT for an address without `@`.
   */
  notify(notice: Notice, options?: CallOptions): Promise<void>;
}

export interface Notice {
  readonly to: string;
  readonly text: string;
}

/** What plugins implement. It throws its client's own errors: the `classify` of the plugin says what they mean. */
export interface NotifierDriver {
  deliver(notice: Notice & { readonly from: string }, options: CallOptions): Promise<void>;
}

declare module "hexkit" {
  interface Protocols {
    notifier: ProtocolTypes<Notifier, NotifierDriver>;
  }
}

const settings = {
  type: "object",
  additionalProperties: false,
  properties: { from: { type: "string", minLength: 1, default: "noreply@localhost", description: "The sender." } },
} as const satisfies OptionsSchema;

/** Checks what is the same for every technology, and leaves the rest to the driver. */
export const notifierProtocol: ProtocolDefinition = defineProtocol({
  name: "notifier",
  id: "hexkit-plugin-my-technology",
  version: 1,
  summary: "Sends notices to people.",
  settings,
  methods: { deliver: true },
  create: (driver, { call, error, settings: { from } }) => ({
    async notify(notice, options) {
      if (!notice.to.includes("@")) throw error("ERR_HEXKIT_INVALID_ARGUMENT", `notify: ${JSON.stringify(notice.to)} is no address`);
      await call("notify", `to ${notice.to}`, options, (signal) => driver.deliver({ ...notice, from }, { signal }));
    },
  }),
});
