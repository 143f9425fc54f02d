/**
 * A backend around the tested one that makes memory faults visible.
 *
 * Every allocation arrives full of garbage and ends in a canary. Freed buffers are held back until the canaries
 * were checked, so that no later allocation covers up a write to freed or foreign memory.
 */
import type { Backend, BackendMemory, DeviceBuffer, DeviceInfo, Kernel } from '../backend.ts';
import type { Op } from '../op.ts';

// Longer than the rows of most cases: a kernel that writes a row too many is caught as well.
const CANARY_BYTES = 1024;
const CANARY = 0xc5;
// Allocators round up to such multiples; without a rest of their own, the canary reaches the next buffer.
const ALIGNMENT = 256;

interface Fenced {
  readonly buffer: DeviceBuffer;
  /** Where the canary starts and ends. */
  readonly canary: number;
  readonly end: number;
  freed: boolean;
}

/** The tested backend, its memory fenced. */
export class FencedBackend implements Backend {
  readonly name: string;
  readonly info: DeviceInfo;
  readonly context: unknown;
  /** Present where the tested backend has it: the catalogue asks for its existence. */
  readonly reference?: NonNullable<Backend['reference']>;
  /** How often the tested backend was asked to do something. */
  calls = 0;
  /** What fresh memory is filled with. */
  garbage = 0xff;
  readonly #inner: Backend;
  readonly #fenced: Map<DeviceBuffer, Fenced> = new Map();

  constructor(inner: Backend) {
    this.#inner = inner;
    this.name = inner.name;
    this.info = inner.info;
    this.context = inner.context;
    if (inner.reference !== undefined) {
      this.reference = (op, call, inputs, outputs) => {
        this.calls++;
        inner.reference!(op, call, inputs, outputs);
      };
    }
  }

  kernel(op: Op): Kernel | undefined {
    return this.#inner.kernel(op);
  }

  allocate(bytes: number): DeviceBuffer {
    this.calls++;
    // Kernels may round up to whole 32-bit words: GPUs store nothing smaller.
    const canary = Math.ceil(bytes / 4) * 4;
    const end = Math.ceil((canary + CANARY_BYTES) / ALIGNMENT) * ALIGNMENT;
    const contents = new Uint8Array(end).fill(this.garbage);
    contents.fill(CANARY, canary);
    const buffer = this.#inner.allocate(end);
    this.#inner.upload(buffer, 0, contents);
    this.#fenced.set(buffer, { buffer, canary, end, freed: false });
    return buffer;
  }

  free(buffer: DeviceBuffer): void {
    this.calls++;
    this.#fenced.get(buffer)!.freed = true;
  }

  upload(buffer: DeviceBuffer, byteOffset: number, source: Uint8Array): void {
    this.calls++;
    this.#inner.upload(buffer, byteOffset, source);
  }

  download(
    buffer: DeviceBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.calls++;
    return this.#inner.download(buffer, byteOffset, byteLength);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  memory(): BackendMemory {
    return this.#inner.memory();
  }

  /** The tested backend outlives its fence. */
  dispose(): void {}

  /**
   * Checks all canaries and returns the memory of this run to the tested backend.
   *
   * @returns one sentence part for each fault: writes past the end, buffers that nobody freed.
   */
  async settle(): Promise<string[]> {
    const problems: string[] = [];
    let leaks = 0;
    let leakedBytes = 0;
    for (const { buffer, canary, end, freed } of this.#fenced.values()) {
      const tail = await this.#inner.download(buffer, canary, end - canary);
      const hit = tail.findIndex((byte) => byte !== CANARY);
      if (hit >= 0) {
        problems.push(
          `memory was written ${hit} bytes past the end of a buffer of ${canary} bytes`,
        );
      }
      if (freed) continue;
      leaks++;
      leakedBytes += canary;
    }
    this.abandon();
    if (leaks > 0) problems.push(`${leaks} buffers (${leakedBytes} bytes) were not freed`);
    return problems;
  }

  /** Returns the memory of this run without any checks. */
  abandon(): void {
    for (const { buffer } of this.#fenced.values()) this.#inner.free(buffer);
    this.#fenced.clear();
  }
}
