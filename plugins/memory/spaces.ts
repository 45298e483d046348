import { MemoryBroker } from "./broker.ts";

interface Space {
  readonly broker: MemoryBroker;
  users: number;
}

/** A provider's hold on a space. */
export interface SpaceLease {
  readonly broker: MemoryBroker;
  release(): void;
}

const spacesKey = Symbol.for("hexkit.memory.spaces");
// By registry: providers of one registry meet here without a name.
const privateSpaces = new WeakMap<object, Space>();

/** The named space of this process, or without a name the one of the registry that `scope` stands for. */
export function enterSpace(name: string | undefined, scope: object): SpaceLease {
  const spaces = name === undefined ? privateSpaces : namedSpaces();
  const key = (name ?? scope) as never;
  let space = spaces.get(key);
  if (space === undefined) {
    space = { broker: new MemoryBroker(), users: 0 };
    spaces.set(key, space);
  }
  const { broker } = space;
  space.users += 1;
  let released = false;
  return {
    broker,
    release: () => {
      if (released) return;
      released = true;
      space.users -= 1;
      if (name !== undefined || space.users > 0) return;
      privateSpaces.delete(scope);
      broker.clear();
    },
  };
}

/**
 * Forgets everything that a named space holds: topics, records, groups. Subscriptions that are still reading from it
 * fail; providers that are open on it go on with the empty space. An unknown name is no error.
 */
export function clearMemorySpace(name: string): void {
  const spaces = namedSpaces();
  const space = spaces.get(name);
  if (space === undefined) return;
  if (space.users === 0) spaces.delete(name);
  space.broker.clear();
}

/** On the global object, because two copies of this package in one process must find the same spaces. */
function namedSpaces(): Map<string, Space> {
  const holder = globalThis as { [spacesKey]?: Map<string, Space> };
  holder[spacesKey] ??= new Map();
  return holder[spacesKey];
}
