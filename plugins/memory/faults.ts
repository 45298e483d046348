import { HexkitError } from "../../core/index.ts";
import type { Group } from "./group.ts";
import type { Member } from "./member.ts";
import { namedBroker } from "./spaces.ts";

/** What can go wrong with the broker of a space, on demand. Nothing of it depends on time or chance. */
export interface MemoryFaults {
  /**
   * The broker is away until `restore`: sending, joining, acknowledging, opening and health checks fail with ERR_HEXKIT_UNAVAILABLE, which is
   * retryable; nothing is delivered and no partition moves; subscriptions are `degraded`. Records and positions stay. Repeated calls are harmless.
   */
  outage(): void;
  /** The broker is back: members have what they had, delivery goes on where it stopped. */
  restore(): void;
  /**
   * Every partition of the group is asked back, in the orderly way, and goes to the member after the one that had it (in the order in which they
   * joined); a single member gets its own again. Takes as long as the members' drains.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT if nobody has joined such a group.
   */
  rebalance(group: string): void;
  /**
   * Throws a member out, as after a missed session: its partitions are lost to it at once, nothing that its handlers still do counts, and others
   * get what it had not acknowledged. It stays out, without partitions, until `rejoin`.
   * @param member `<service name>.<instance>`; by default the one that joined first.
   * @throws ERR_HEXKIT_INVALID_ARGUMENT if nobody has joined such a group, or no such member is in it.
   */
  loseMember(group: string, member?: string): LostMember;
}

interface LostMember {
  /** The member joins again, and gets its share. */
  rejoin(): void;
}

/** The faults of a named space (the provider's option `space`), whether or not anything is open on it yet. `clearMemorySpace` ends an outage. */
export function memoryFaults(space: string): MemoryFaults {
  const find = (name: string): Group => {
    const group = namedBroker(space).group(name);
    if (group === undefined) throw refuse(space, `nobody has joined a group ${JSON.stringify(name)}`);
    return group;
  };
  return {
    outage: () => namedBroker(space).setAway(true),
    restore: () => namedBroker(space).setAway(false),
    rebalance: (group) => find(group).rebalance(),
    loseMember: (name, clientId) => {
      const group = find(name);
      return { rejoin: group.expel(pick(group.members, clientId, (fact) => refuse(space, `group ${JSON.stringify(name)} ${fact}`))) };
    },
  };
}

function pick(members: readonly Member[], clientId: string | undefined, refuseBecause: (fact: string) => HexkitError): Member {
  const member = clientId === undefined ? members[0] : members.find((each) => each.clientId === clientId);
  if (member !== undefined) return member;
  const known = members.map((each) => each.clientId).join(", ") || "nobody";
  throw refuseBecause(clientId === undefined ? "has no members" : `has no member ${JSON.stringify(clientId)}; in it: ${known}`);
}

function refuse(space: string, fact: string): HexkitError {
  return new HexkitError("ERR_HEXKIT_INVALID_ARGUMENT", `memory space ${JSON.stringify(space)}: ${fact}`);
}
