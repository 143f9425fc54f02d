/** Host memory on its way to the device: mapped chunks that are filled, copied from, and mapped again. */
import { BUFFER_USAGE, MAP_MODE } from './usage.ts';

// Large enough that a weight matrix takes few copies, small enough to stay in the driver's fast path.
const CHUNK_BYTES = 4 * 1024 * 1024;
// Chunks in flight; an upload that outruns them goes through the queue's own staging.
const MAX_CHUNKS = 16;

interface Chunk {
  readonly buffer: GPUBuffer;
  mapped: Uint8Array;
  used: number;
}

/** A filled part of a chunk, to be copied by the batch being encoded. */
export interface StagedPiece {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** The ring of mapped chunks. */
export class StagingRing {
  readonly #device: GPUDevice;
  readonly #free: Chunk[] = [];
  /** Chunks that hold pieces of the current batch; the last one has room. */
  #filled: Chunk[] = [];
  #chunks = 0;
  #disposed = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Stages the first bytes of `source`, as many as fit; `undefined` when every chunk is in flight.
   *
   * @param source a multiple of 4 bytes.
   */
  stage(source: Uint8Array): StagedPiece | undefined {
    const chunk = this.#roomyChunk();
    if (chunk === undefined) return undefined;
    const bytes = Math.min(source.length, CHUNK_BYTES - chunk.used);
    chunk.mapped.set(source.subarray(0, bytes), chunk.used);
    const piece = { buffer: chunk.buffer, offset: chunk.used, bytes };
    chunk.used += bytes;
    return piece;
  }

  /** Before submission: mapped buffers must not be read by the device. */
  unmap(): void {
    for (const chunk of this.#filled) chunk.buffer.unmap();
  }

  /** After submission: maps the chunks again; each returns when the device has copied from it. */
  recycle(): void {
    for (const chunk of this.#filled) {
      chunk.buffer.mapAsync(MAP_MODE.write).then(
        () => {
          if (this.#disposed) return;
          chunk.mapped = new Uint8Array(chunk.buffer.getMappedRange());
          chunk.used = 0;
          this.#free.push(chunk);
        },
        // Only a lost or disposed device refuses; nobody will ask for the chunk again.
        () => undefined,
      );
    }
    this.#filled = [];
  }

  dispose(): void {
    this.#disposed = true;
    for (const chunk of [...this.#free, ...this.#filled]) chunk.buffer.destroy();
    this.#free.length = 0;
    this.#filled = [];
  }

  #roomyChunk(): Chunk | undefined {
    const last = this.#filled[this.#filled.length - 1];
    if (last !== undefined && last.used < CHUNK_BYTES) return last;
    const chunk = this.#free.pop() ?? this.#createChunk();
    if (chunk !== undefined) this.#filled.push(chunk);
    return chunk;
  }

  #createChunk(): Chunk | undefined {
    if (this.#chunks === MAX_CHUNKS) return undefined;
    this.#chunks++;
    const buffer = this.#device.createBuffer({
      label: 'staging',
      size: CHUNK_BYTES,
      usage: BUFFER_USAGE.mapWrite | BUFFER_USAGE.copySource,
      mappedAtCreation: true,
    });
    return { buffer, mapped: new Uint8Array(buffer.getMappedRange()), used: 0 };
  }
}
