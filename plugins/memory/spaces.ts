import { MemoryBroker } from "./broker.ts";
import { MemoryDatabase } from "./database.ts";
import { MemoryLinks } from "./links.ts";
import { MemoryObjectStore } from "./object-store.ts";

interface Space {
  readonly broker: MemoryBroker;
  readonly database: MemoryDatabase;
  readonly objects: MemoryObjectStore;
  readonly links: MemoryLinks;
  users: number;
}

/** A provider's hold on a space. */
export interface SpaceLease {
  readonly broker: MemoryBroker;
  readonly database: MemoryDatabase;
  readonly objects: MemoryObjectStore;
  readonly links: MemoryLinks;
  /** The last user's ends the links of the space, and all of a private one. */
  release(): Promise<void>;
}

const spacesKey = Symbol.for("hexkit.memory.spaces");
// By registry: providers of one registry meet here without a name.
const privateSpaces = new WeakMap<object, Space>();

/** The named space of this process, or without a name the one of the registry that `scope` stands for. */
export function enterSpace(name: string | undefined, scope: object): SpaceLease {
  const space = name === undefined ? spaceIn(privateSpaces, scope) : spaceIn(namedSpaces(), name);
  const { broker, database, objects, links } = space;
  space.users += 1;
  let released = false;
  return {
    broker,
    database,
    objects,
    links,
    release: async () => {
      if (released) return;
      released = true;
      space.users -= 1;
      if (space.users > 0) return;
      if (name === undefined) {
        privateSpaces.delete(scope);
        broker.clear();
        database.clear();
        objects.clear();
      }
      await links.close();
    },
  };
}

/** The broker of a named space, whether or not anything is open on it. */
export function namedBroker(name: string): MemoryBroker {
  return spaceIn(namedSpaces(), name).broker;
}

function spaceIn<Key>(spaces: { get(key: Key): Space | undefined; set(key: Key, space: Space): unknown }, key: Key): Space {
  let space = spaces.get(key);
  if (space === undefined) {
    const broker = new MemoryBroker();
    const objects = new MemoryObjectStore();
    space = { broker, database: new MemoryDatabase(), objects, links: new MemoryLinks(objects, () => broker.demandPresence()), users: 0 };
    spaces.set(key, space);
  }
  return space;
}

/**
 * Forgets everything that a named space holds: topics, records, groups, documents, buckets, objects, an outage. Subscriptions that are still reading from it
 * fail; providers that are open on it go on with the empty space. An unknown name is no error.
 */
export function clearMemorySpace(name: string): void {
  const spaces = namedSpaces();
  const space = spaces.get(name);
  if (space === undefined) return;
  if (space.users === 0) spaces.delete(name);
  space.broker.clear();
  space.database.clear();
  space.objects.clear();
}

/** On the global object, because two copies of this package in one process must find the same spaces. */
function namedSpaces(): Map<string, Space> {
  const holder = globalThis as { [spacesKey]?: Map<string, Space> };
  holder[spacesKey] ??= new Map();
  return holder[spacesKey];
}
