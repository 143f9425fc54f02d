/** What the null device records: every op that was asked of it, and what that would have cost. */
import type { OpCost, TensorSpec } from '../op.ts';

/** One call of an op. */
export interface PlannedOp {
  readonly op: string;
  /** By slot; `undefined` for an optional input left out. */
  readonly inputs: readonly (TensorSpec | undefined)[];
  readonly outputs: readonly TensorSpec[];
  readonly attrs: object;
  readonly cost: OpCost;
  /** Bytes of all tensors that live while the op runs. */
  readonly liveBytes: number;
}

/** The calls made on a null device, in order, and their totals. */
export class Plan {
  #ops: PlannedOp[] = [];
  #peakBytes = 0;

  /** Calls without elements to compute are left out, as on every device. */
  get ops(): readonly PlannedOp[] {
    return this.#ops;
  }

  /** Arithmetic of all calls. */
  get flops(): number {
    return this.#ops.reduce((sum, { cost }) => sum + cost.flops, 0);
  }

  /** Traffic of all calls. */
  get bytes(): number {
    return this.#ops.reduce((sum, { cost }) => sum + cost.bytes, 0);
  }

  /** Most bytes that tensors held at once. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** @internal */
  add(planned: PlannedOp): void {
    this.#ops.push(planned);
  }

  /** @internal */
  holds(liveBytes: number): void {
    this.#peakBytes = Math.max(this.#peakBytes, liveBytes);
  }

  /** @internal */
  restart(liveBytes: number): void {
    this.#ops = [];
    this.#peakBytes = liveBytes;
  }
}
