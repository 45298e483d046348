/** What names of providers, protocols, bindings, options and settings look like. */
export const namePattern = /^[a-z][A-Za-z0-9]*$/;

/** No provider may be called so: their variables belong to sections of the configuration. */
export const reservedNames: readonly string[] = ["service", "log", "config", "test", "lifecycle", "telemetry"];

/** `partSizeBytes` → `PART_SIZE_BYTES`. One capital gives one underscore, so no two names share a result. */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (capital) => `_${capital}`).toUpperCase();
}

/** The name that `snake` turns into `text`, if there is one. */
export function camel(text: string): string | undefined {
  if (!/^[A-Z][A-Z0-9]*(?:_[A-Z][A-Z0-9]*)*$/.test(text)) return undefined;
  return text.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The variable of an unnamed binding or section, and the beginning of those beneath it: `HEXKIT_OBJECT_STORAGE`. */
export const variableOf = (name: string): string => `HEXKIT_${snake(name)}`;

export interface BindingName {
  readonly protocol: string;
  readonly name?: string;
}

/** Takes `dao:orders` apart; `undefined` if it is no binding's name. */
export function parseBinding(binding: string): BindingName | undefined {
  const colon = binding.indexOf(":");
  if (colon < 0) return namePattern.test(binding) ? { protocol: binding } : undefined;
  const protocol = binding.slice(0, colon);
  const name = binding.slice(colon + 1);
  return namePattern.test(protocol) && namePattern.test(name) ? { protocol, name } : undefined;
}

/** The variable that binds: `HEXKIT_OBJECT_STORAGE__ARCHIVE` for `objectStorage:archive`. */
export function bindingVariable({ protocol, name }: BindingName): string {
  return name === undefined ? variableOf(protocol) : `${variableOf(protocol)}__${snake(name)}`;
}

/** What the variables of a binding's settings begin with. */
export function settingPrefix(binding: BindingName): string {
  return bindingVariable(binding) + (binding.name === undefined ? "_" : "__");
}

const isPath = (specifier: string): boolean => /^(?:\.{1,2})?\//.test(specifier) && !/[\s]|:\/\//.test(specifier);

/** Whether a text names a plugin outside this package: by package name or by path. */
export function isForeignPlugin(specifier: string): boolean {
  if (isPath(specifier)) return true;
  if (!/^(?:@[\w.~-]+\/)?[\w~-][\w.~-]*(?:\/[\w.~-]+)*$/.test(specifier)) return false;
  return specifier.includes("/") || specifier.startsWith("hexkit-plugin-");
}

/** A name that someone gave, quoted for a message. What does not look like a name might be a secret in the wrong place. */
export function quoted(name: string): string {
  if (name === "") return '"" (empty)';
  return /^[\w@.~/:$+\- \\]{1,200}$/.test(name) && !name.includes("://") ? JSON.stringify(name) : "(a value not shown here)";
}

export const escapePointer = (key: string): string => key.replace(/~/g, "~0").replace(/\//g, "~1");

/** Whether a variable is one that Kubernetes sets for a service whose name begins with `hexkit`. */
export function isKubernetesLink(variable: string, value: string): boolean {
  if (/^HEXKIT_(?:.+_)?SERVICE_(?:HOST|PORT(?:_.+)?)$/.test(variable)) return true;
  if (/^HEXKIT_(?:.+_)?PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?$/.test(variable)) return true;
  return /^HEXKIT_(?:.+_)?PORT$/.test(variable) && /^(?:tcp|udp|sctp):\/\//.test(value);
}
