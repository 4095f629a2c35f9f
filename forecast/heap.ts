/** Numbers with what belongs to them, the lowest first. */
export class Heap {
  private readonly keys: number[] = [];
  private readonly values: number[] = [];

  get size(): number {
    return this.keys.length;
  }

  /** The lowest key; `Infinity` of an empty heap. */
  get lowest(): number {
    return this.keys[0] ?? Infinity;
  }

  push(key: number, value: number): void {
    let at = this.keys.length;
    for (; at > 0;) {
      const parent = (at - 1) >> 1;
      const above = this.keys[parent] ?? 0;
      if (above <= key) break;
      this.set(at, above, this.values[parent] ?? 0);
      at = parent;
    }
    this.set(at, key, value);
  }

  /** The value of the lowest key. */
  pop(): number {
    const top = this.values[0] ?? -1;
    const key = this.keys.pop() ?? 0;
    const value = this.values.pop() ?? 0;
    const size = this.keys.length;
    if (size === 0) return top;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (this.keys[child + 1] ?? 0) < (this.keys[child] ?? 0)) child += 1;
      const below = this.keys[child] ?? 0;
      if (below >= key) break;
      this.set(at, below, this.values[child] ?? 0);
      at = child;
    }
    this.set(at, key, value);
    return top;
  }

  private set(at: number, key: number, value: number): void {
    this.keys[at] = key;
    this.values[at] = value;
  }
}
