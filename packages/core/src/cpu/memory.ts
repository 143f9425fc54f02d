/** The CPU device's memory: one WebAssembly memory (shared where possible) and a best-fit allocator over it. */
import type { DeviceBuffer } from '../backend.ts';
import { OutOfMemoryError } from '../errors.ts';

/** A block of the WebAssembly memory. */
export interface CpuBuffer extends DeviceBuffer {
  /** Byte address, a multiple of 64. */
  readonly address: number;
}

const PAGE_BYTES = 65536;
// Address space of wasm32, less one page so that one-past-the-end stays a u32.
const MAX_PAGES = 65535;
const INITIAL_PAGES = 64;
// Cache-line alignment; also what the widest SIMD load wants.
const ALIGNMENT = 64;
// Growing in large steps keeps the number of view rebuilds small.
const GROW_PAGES = 256;

/** Address below which nothing is allocated: the control words of the thread pool live there. */
export const CONTROL_BYTES = 4096;

interface Block {
  address: number;
  bytes: number;
}

/** True where WebAssembly memory can be shared between threads. */
export function sharedMemoryAvailable(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;
  return isolated !== false;
}

function round(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}

/** WebAssembly memory with `allocate` and `free`; freed neighbours merge. */
export class CpuMemory {
  readonly memory: WebAssembly.Memory;
  readonly shared: boolean;
  readonly #maxBytes: number;
  /** Free blocks in address order. */
  readonly #free: Block[];
  #usedBytes = 0;
  #bytes: Uint8Array;

  /** @param maxBytes upper bound of all allocations together, at most 4 GiB. */
  constructor(maxBytes: number = MAX_PAGES * PAGE_BYTES) {
    const maximum = Math.min(MAX_PAGES, Math.max(INITIAL_PAGES, Math.ceil(maxBytes / PAGE_BYTES)));
    this.shared = sharedMemoryAvailable();
    this.memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared: this.shared });
    this.#maxBytes = maximum * PAGE_BYTES;
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#free = [{ address: CONTROL_BYTES, bytes: this.#bytes.length - CONTROL_BYTES }];
  }

  /** The whole memory; valid until the next allocation. */
  get bytes(): Uint8Array {
    // A shared memory keeps its old, shorter buffer valid after growth; a private one detaches it.
    if (this.#bytes.buffer !== this.memory.buffer) this.#bytes = new Uint8Array(this.memory.buffer);
    return this.#bytes;
  }

  get buffer(): ArrayBufferLike {
    return this.memory.buffer;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Committed but unused bytes. */
  get pooledBytes(): number {
    return this.memory.buffer.byteLength - CONTROL_BYTES - this.#usedBytes;
  }

  /** @throws OutOfMemoryError when the address space is used up. */
  allocate(bytes: number): CpuBuffer {
    const needed = Math.max(ALIGNMENT, round(bytes, ALIGNMENT));
    let best = this.#bestFit(needed);
    if (best < 0) {
      this.#grow(needed);
      best = this.#bestFit(needed);
    }
    const block = this.#free[best]!;
    const { address } = block;
    if (block.bytes === needed) this.#free.splice(best, 1);
    else {
      block.address += needed;
      block.bytes -= needed;
    }
    this.#usedBytes += needed;
    return { address, bytes: needed };
  }

  free(buffer: CpuBuffer): void {
    this.#usedBytes -= buffer.bytes;
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#free[middle]!.address < buffer.address) low = middle + 1;
      else high = middle;
    }
    const before = this.#free[low - 1];
    const after = this.#free[low];
    const joinsBefore = before !== undefined && before.address + before.bytes === buffer.address;
    const joinsAfter = after !== undefined && buffer.address + buffer.bytes === after.address;
    if (joinsBefore) {
      before.bytes += buffer.bytes;
      if (joinsAfter) {
        before.bytes += after.bytes;
        this.#free.splice(low, 1);
      }
    } else if (joinsAfter) {
      after.address = buffer.address;
      after.bytes += buffer.bytes;
    } else {
      this.#free.splice(low, 0, { address: buffer.address, bytes: buffer.bytes });
    }
  }

  #bestFit(bytes: number): number {
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const block = this.#free[i]!;
      if (block.bytes < bytes) continue;
      if (best < 0 || block.bytes < this.#free[best]!.bytes) best = i;
    }
    return best;
  }

  #grow(needed: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#free[this.#free.length - 1];
    const tail = last !== undefined && last.address + last.bytes === end ? last.bytes : 0;
    const missing = Math.ceil((needed - tail) / PAGE_BYTES);
    for (const pages of [Math.max(missing, GROW_PAGES), missing]) {
      try {
        this.memory.grow(pages);
      } catch {
        continue;
      }
      const added = this.memory.buffer.byteLength - end;
      this.#usedBytes += added;
      this.free({ address: end, bytes: added });
      return;
    }
    throw new OutOfMemoryError(
      `cpu: no room for ${needed} bytes (${this.#usedBytes} of at most ${this.#maxBytes} bytes in use).`,
    );
  }
}
