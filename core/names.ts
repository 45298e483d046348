/** What names of plugins, providers, protocols and bindings look like: lower camel case. */
export const namePattern = /^[a-z][A-Za-z0-9]*$/;

/** Who the service is: `name` is shared by its instances, `instance` tells them apart. */
export interface ServiceIdentity {
  readonly name: string;
  readonly instance: string;
}

/** The variable that binds a binding: `objectStorage:archive` → `HEXKIT_OBJECT_STORAGE__ARCHIVE`. */
export function bindingVariable(binding: string): string {
  const words = (name: string): string => name.replace(/[A-Z]/g, "_$&").toUpperCase();
  return `HEXKIT_${binding.split(":").map(words).join("__")}`;
}
