/** Device memory: buffers in size classes, kept for reuse after they are freed. */
import { OutOfMemoryError, type DeviceBuffer } from '@pergola/core';
import type { DeviceHealth } from './health.ts';
import { BUFFER_USAGE } from './usage.ts';

/** A storage buffer. Its size is the size class, so it may be larger than what was asked for. */
export class GpuBuffer implements DeviceBuffer {
  /** Identifies the buffer in bind group keys; never used twice. */
  readonly id: number;
  readonly handle: GPUBuffer;
  readonly bytes: number;
  /** Recorded steps that replay work on this buffer; it is not reused before the last of them is disposed. */
  pins = 0;
  /** Freed by its tensor while pinned. */
  freed = false;

  constructor(id: number, handle: GPUBuffer, bytes: number) {
    this.id = id;
    this.handle = handle;
    this.bytes = bytes;
  }
}

// The smallest class also serves tensors without elements: bindings must not be empty.
const MIN_CLASS_BYTES = 256;

/** The size class of a request: multiples of a quarter of its power of two, so at most a fifth is lost. */
export function sizeClass(bytes: number): number {
  if (bytes <= MIN_CLASS_BYTES) return MIN_CLASS_BYTES;
  const step = Math.max(MIN_CLASS_BYTES, 2 ** (Math.floor(Math.log2(bytes - 1)) - 2));
  return Math.ceil(bytes / step) * step;
}

/** Bounds of the pool. */
export interface PoolOptions {
  /** Largest single buffer. */
  readonly maxBufferBytes: number;
  /** Freed memory kept for reuse; beyond it the longest unused buffers are destroyed. */
  readonly maxPooledBytes: number;
  /** Bound of live and pooled memory together; none when absent, since WebGPU does not tell the device's memory. */
  readonly memoryBytes: number | undefined;
  /** Called before a buffer is destroyed: enqueued work that uses it must be on its way. */
  readonly beforeDestroy: (buffer: GpuBuffer) => void;
}

/**
 * Storage buffers by size class.
 *
 * A freed buffer may be handed out again at once: all work of a device runs in the order in which it was enqueued,
 * so its next user comes after its last one.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #options: PoolOptions;
  readonly #byClass: Map<number, GpuBuffer[]> = new Map();
  /** All pooled buffers, longest unused first. */
  readonly #pooled: Set<GpuBuffer> = new Set();
  #pooledBytes = 0;
  #totalBytes = 0;
  #nextId = 1;

  constructor(device: GPUDevice, health: DeviceHealth, options: PoolOptions) {
    this.#device = device;
    this.#health = health;
    this.#options = options;
  }

  get pooledBytes(): number {
    return this.#pooledBytes;
  }

  /** Live and pooled bytes. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** @throws OutOfMemoryError when the request is over the adapter's limit or the memory bound. */
  take(bytes: number): GpuBuffer {
    const { maxBufferBytes } = this.#options;
    if (bytes > maxBufferBytes) {
      throw new OutOfMemoryError(
        `webgpu: a tensor may take at most ${maxBufferBytes} bytes on this adapter (largest storage binding), got ${bytes}; split it along an axis.`,
      );
    }
    const size = Math.min(sizeClass(bytes), maxBufferBytes);
    const free = this.#byClass.get(size)?.pop();
    if (free !== undefined) {
      this.#pooled.delete(free);
      this.#pooledBytes -= free.bytes;
      return free;
    }
    this.#makeRoom(size);
    return this.#create(size);
  }

  /** Keeps the buffer for reuse. */
  put(buffer: GpuBuffer): void {
    const list = this.#byClass.get(buffer.bytes);
    if (list === undefined) this.#byClass.set(buffer.bytes, [buffer]);
    else list.push(buffer);
    this.#pooled.add(buffer);
    this.#pooledBytes += buffer.bytes;
    this.#shrink(this.#options.maxPooledBytes);
  }

  /** Destroys everything that is kept for reuse. */
  trim(): void {
    this.#shrink(0);
  }

  #makeRoom(size: number): void {
    const { memoryBytes } = this.#options;
    if (memoryBytes === undefined) return;
    const room = memoryBytes - (this.#totalBytes - this.#pooledBytes) - size;
    if (room < 0) {
      throw new OutOfMemoryError(
        `webgpu: no room for ${size} bytes (${this.#totalBytes - this.#pooledBytes} of at most ${memoryBytes} bytes in use).`,
      );
    }
    this.#shrink(Math.min(room, this.#pooledBytes));
  }

  #shrink(limit: number): void {
    for (const buffer of this.#pooled) {
      if (this.#pooledBytes <= limit) return;
      this.#pooled.delete(buffer);
      const list = this.#byClass.get(buffer.bytes)!;
      list.splice(list.indexOf(buffer), 1);
      this.#pooledBytes -= buffer.bytes;
      this.#totalBytes -= buffer.bytes;
      this.#options.beforeDestroy(buffer);
      buffer.handle.destroy();
    }
  }

  #create(size: number): GpuBuffer {
    // The device answers later; the failure then meets the next read or sync.
    this.#device.pushErrorScope('out-of-memory');
    const handle = this.#device.createBuffer({
      size,
      usage: BUFFER_USAGE.storage | BUFFER_USAGE.copySource | BUFFER_USAGE.copyTarget,
    });
    const inUse = this.#totalBytes;
    this.#health.watch(
      this.#device.popErrorScope().then((error) => {
        if (error === null) return;
        this.#health.report(
          new OutOfMemoryError(
            `webgpu: the device has no room for ${size} bytes (${inUse} bytes in use by this device).`,
          ),
        );
      }),
    );
    this.#totalBytes += size;
    return new GpuBuffer(this.#nextId++, handle, size);
  }
}
