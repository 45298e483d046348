/**
 * Tells how far a partition may be committed when its records settle in any order: up to the first that has not.
 * Offsets are delivered in growing order and may have gaps.
 */
export class OffsetTracker {
  readonly #delivered: number[] = [];
  readonly #settled = new Set<number>();
  #head = 0;
  #position: number | undefined;
  #last: number | undefined;

  /** The offset to read next after a restart: one past the last of the contiguous settled prefix; `undefined` before the first. */
  get position(): number | undefined {
    return this.#position;
  }

  /** Records delivered but not part of the settled prefix. */
  get pending(): number {
    return this.#delivered.length - this.#head;
  }

  /** Repeating an offset, or one before the last, changes nothing. */
  delivered(offset: number): void {
    if (this.#last !== undefined && offset <= this.#last) return;
    this.#last = offset;
    this.#delivered.push(offset);
  }

  /** Marks a delivered offset as settled and returns whether `position` moved. One that is settled already or beyond what was delivered changes nothing. */
  settle(offset: number): boolean {
    if (this.#last === undefined || offset > this.#last) return false;
    if (this.#position !== undefined && offset < this.#position) return false;
    if (offset !== this.#delivered[this.#head]) {
      this.#settled.add(offset);
      return false;
    }
    do {
      this.#position = (this.#delivered[this.#head] as number) + 1;
      this.#head += 1;
    } while (this.#settled.size > 0 && this.#settled.delete(this.#delivered[this.#head] as number));
    // Give the settled front back once it is the larger part; amortised, each offset is moved at most once.
    if (this.#head > 1024 && this.#head * 2 > this.#delivered.length) {
      this.#delivered.splice(0, this.#head);
      this.#head = 0;
    }
    return true;
  }
}
