/** A JSON Schema (draft-07) of options or settings: flat or one level deep. */
export interface ObjectSchema {
  readonly type: "object";
  readonly additionalProperties: false;
  readonly required?: readonly string[];
  readonly properties: Readonly<Record<string, PropertySchema>>;
}

export interface PropertySchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  /** Marks a secret. */
  readonly writeOnly?: boolean;
  readonly properties?: Readonly<Record<string, PropertySchema>>;
  readonly items?: object;
  readonly [keyword: string]: unknown;
}

/** One thing wrong, as data. `place`: `hexkit.config.json#/providers/events` (file and JSON pointer), a variable's name, or a path. Never a secret's value. */
export interface Problem {
  readonly place: string;
  readonly message: string;
}

export interface ProtocolVocabulary {
  readonly settings: ObjectSchema;
  readonly needsServiceName?: boolean;
  /** Composed protocols only: setting that names a binding → protocol of that binding. */
  readonly composes?: Readonly<Record<string, string>>;
}

export interface PluginVocabulary {
  /** The plugin's own name; the implicit provider's name. */
  readonly name: string;
  readonly options: ObjectSchema;
  readonly provides: readonly string[];
}

/** Everything the second pass knows. */
export interface Vocabulary {
  /** By protocol name. */
  readonly protocols: Readonly<Record<string, ProtocolVocabulary>>;
  /** By the specifier under which the sources name it (`kafka`, `@acme/hexkit-plugin-nats`, `./plugins/own.js`). */
  readonly plugins: Readonly<Record<string, PluginVocabulary>>;
  /** Short names of the plugins of this package: for suggestions, and for variables that are accepted though unused. */
  readonly builtinPlugins: readonly string[];
  /** Specifiers of plugins that could not be loaded. Reported by whoever tried: what follows from it is not reported again. */
  readonly refusedPlugins?: readonly string[];
}

export interface ReadInput {
  /** A path (or several, separated by commas), or the configuration itself; falls back to HEXKIT_CONFIG, then `hexkit.config.json` in `cwd`. */
  readonly config?: string | object | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** A plugin that the sources name, to be loaded before the second pass. */
export interface PluginReference {
  readonly specifier: string;
  /** Where it is named. */
  readonly place: string;
  /** Folder from which a relative path or a package is resolved: that of the naming file, else `cwd`. */
  readonly folder: string;
  /**
   * Named by a variable of which is not known yet whether it binds a protocol. If it cannot be loaded, go on without:
   * if it was a binding, the second pass reports the variable.
   */
  readonly candidate?: boolean;
}

/** One effective value. */
export interface EffectiveValue {
  /** JSON pointer in the merged configuration: `/providers/events/options/brokers`. */
  readonly pointer: string;
  /** The value, or `"[secret]"`. */
  readonly value: unknown;
  readonly secret: boolean;
  /** `default`, `file hexkit.config.json#/…`, `environment HEXKIT_…`, `environment MINIO_USER (by $env)`, `file /run/secrets/x`. */
  readonly origin: string;
  /** The variable that would set it, if there is one. */
  readonly variable?: string;
  /** Belongs to nothing that is bound. */
  readonly unused?: boolean;
}

export interface ResolvedProvider {
  readonly name: string;
  /** Key in `Vocabulary.plugins`. */
  readonly plugin: string;
  /** Validated, defaults filled in, secrets in clear. */
  readonly options: Record<string, unknown>;
}

export interface ResolvedBinding {
  /** `eventPublisher` or `eventPublisher:audit`. */
  readonly binding: string;
  readonly protocol: string;
  /** Absent for a composed protocol. */
  readonly provider?: string;
  /** Composed protocols only: setting → binding that it refers to. */
  readonly parts?: Readonly<Record<string, string>>;
  /** Validated, defaults filled in. Parts are left out. */
  readonly settings: Record<string, unknown>;
}

export interface ResolvedConfig {
  readonly service: { readonly name: string; readonly instance: string };
  readonly log: { readonly level: string };
  readonly lifecycle: { readonly connectTimeoutMs: number; readonly closeTimeoutMs: number };
  /** The providers that are bound, in order of first use. */
  readonly providers: readonly ResolvedProvider[];
  /** Composed ones come after what they refer to. */
  readonly bindings: readonly ResolvedBinding[];
}

export interface Resolution {
  /** Absent when there are problems. */
  readonly config?: ResolvedConfig;
  /** As far as known, also when there are problems. */
  readonly values: readonly EffectiveValue[];
  /** Every secret in clear, for redaction. */
  readonly secrets: readonly string[];
  readonly problems: readonly Problem[];
}
