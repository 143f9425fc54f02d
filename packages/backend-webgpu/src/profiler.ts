/** Timestamp queries around each dispatch, and their results. */
import { BUFFER_USAGE, MAP_MODE } from './usage.ts';

/** One timed dispatch. */
export interface DispatchTiming {
  /** Label of the program. */
  readonly program: string;
  readonly nanoseconds: number;
}

// Two queries per dispatch; 4096 queries is the most a query set may hold.
const DISPATCHES_PER_SET = 2048;
const QUERY_BYTES = 8;

interface Segment {
  readonly labels: readonly string[];
  readonly readback: GPUBuffer;
}

/** Hands out timestamp queries and collects their results. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #segments: Segment[] = [];
  #labels: string[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 * DISPATCHES_PER_SET });
    this.#resolved = device.createBuffer({
      size: 2 * DISPATCHES_PER_SET * QUERY_BYTES,
      usage: BUFFER_USAGE.queryResolve | BUFFER_USAGE.copySource,
    });
  }

  /** No query is left before the next submission. */
  get full(): boolean {
    return this.#labels.length === DISPATCHES_PER_SET;
  }

  /** Queries for the next dispatch. */
  next(label: string): GPUComputePassTimestampWrites {
    const at = 2 * this.#labels.length;
    this.#labels.push(label);
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
  }

  /** Copies the batch's timestamps out, at the end of its encoder. */
  resolve(encoder: GPUCommandEncoder): void {
    if (this.#labels.length === 0) return;
    const count = 2 * this.#labels.length;
    const readback = this.#device.createBuffer({
      size: count * QUERY_BYTES,
      usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyTarget,
    });
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, readback, 0, count * QUERY_BYTES);
    this.#segments.push({ labels: this.#labels, readback });
    this.#labels = [];
  }

  /** All timings, in order of execution. */
  async collect(): Promise<DispatchTiming[]> {
    const timings: DispatchTiming[] = [];
    for (const { labels, readback } of this.#segments) {
      await readback.mapAsync(MAP_MODE.read);
      const times = new BigUint64Array(readback.getMappedRange());
      labels.forEach((program, i) => {
        timings.push({ program, nanoseconds: Number(times[2 * i + 1]! - times[2 * i]!) });
      });
      readback.destroy();
    }
    this.#segments.length = 0;
    return timings;
  }

  dispose(): void {
    for (const { readback } of this.#segments) readback.destroy();
    this.#queries.destroy();
    this.#resolved.destroy();
  }
}
