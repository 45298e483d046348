/** What the members of a group agree on, in one message that each of them may replace. */
export interface GroupState {
  /** Topic → how many partitions it has. */
  readonly topics: Readonly<Record<string, number>>;
  /** Member → the topics that it reads. */
  readonly members: Readonly<Record<string, readonly string[]>>;
  /** Place (`partition/topic`) → the member that reads it. */
  readonly owners: Readonly<Record<string, string>>;
}

export interface Myself {
  readonly id: string;
  readonly topics: readonly string[];
  /** Partitions of the topics that I know. */
  readonly counts: ReadonlyMap<string, number>;
  /** Places that I have let go of. */
  readonly released: ReadonlySet<string>;
  /** Members of which nothing has been heard for too long. */
  readonly dead: ReadonlySet<string>;
}

export interface Plan {
  readonly state: GroupState;
  /** What is mine in `state`. */
  readonly mine: readonly string[];
  /** Of it, what somebody else should have: it is theirs once I let go. */
  readonly excess: ReadonlySet<string>;
  /** Whether anything is new in `state`. */
  readonly changed: boolean;
}

export const nobody: GroupState = { topics: {}, members: {}, owners: {} };

export function placeOf(topic: string, partition: number): string {
  return `${partition}/${topic}`;
}

export function partitionOf(place: string): { readonly topic: string; readonly partition: number } {
  const slash = place.indexOf("/");
  return { topic: place.slice(slash + 1), partition: Number(place.slice(0, slash)) };
}

/** My next step: who is dead goes, what I let go of is free, and what is free of my share is mine. Follows from its arguments alone. */
export function plan(state: GroupState, me: Myself): Plan {
  const members = Object.fromEntries(Object.entries(state.members).filter(([id]) => id === me.id || !me.dead.has(id)));
  members[me.id] = me.topics;
  const topics = { ...state.topics };
  for (const [topic, count] of me.counts) topics[topic] = Math.max(count, topics[topic] ?? 0);
  const owners = Object.fromEntries(
    Object.entries(state.owners).filter(([place, id]) => members[id] !== undefined && !(id === me.id && me.released.has(place))),
  );
  const shares = share({ topics, members, owners });
  for (const [place, id] of shares) if (id === me.id) owners[place] ??= id;
  const mine = Object.keys(owners).filter((place) => owners[place] === me.id);
  return {
    state: { topics, members, owners },
    mine,
    excess: new Set(mine.filter((place) => shares.get(place) !== me.id)),
    changed: JSON.stringify(state) !== JSON.stringify({ topics, members, owners }),
  };
}

/** Takes a member out, and all that it has. */
export function without(state: GroupState, member: string): GroupState {
  const { [member]: _, ...members } = state.members;
  return { ...state, members, owners: Object.fromEntries(Object.entries(state.owners).filter(([, id]) => id !== member)) };
}

/**
 * Who should have what: only members that read the topic, evenly, moving as little as possible. Every member comes to the same result from the
 * same state.
 */
function share({ topics, members, owners }: GroupState): Map<string, string> {
  const ids = Object.keys(members).sort();
  const load = new Map(ids.map((id) => [id, 0]));
  const shares = new Map<string, string>();
  const give = (place: string, id: string): void => {
    const before = shares.get(place);
    if (before !== undefined) load.set(before, (load.get(before) ?? 0) - 1);
    load.set(id, (load.get(id) ?? 0) + 1);
    shares.set(place, id);
  };
  const candidates = new Map<string, string[]>();
  for (const topic of Object.keys(topics).sort()) {
    const readers = ids.filter((id) => members[id]?.includes(topic));
    for (let partition = 0; readers.length > 0 && partition < (topics[topic] ?? 0); partition += 1)
      candidates.set(placeOf(topic, partition), readers);
  }
  const lightest = (readers: readonly string[]): string =>
    readers.reduce((best, id) => ((load.get(id) ?? 0) < (load.get(best) ?? 0) ? id : best));
  for (const [place, readers] of candidates) {
    const owner = owners[place];
    if (owner !== undefined && readers.includes(owner)) give(place, owner);
  }
  for (const [place, readers] of candidates) if (!shares.has(place)) give(place, lightest(readers));
  for (let moved = true; moved; ) {
    moved = false;
    for (const [place, readers] of candidates) {
      const other = lightest(readers);
      // Ends: each move makes the loads more equal.
      if ((load.get(shares.get(place) as string) ?? 0) - (load.get(other) ?? 0) < 2) continue;
      give(place, other);
      moved = true;
    }
  }
  return shares;
}
