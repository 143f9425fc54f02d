/** Device memory to the host: one copy into a mapped buffer, one out of it. */
import type { GpuBuffer } from './buffers.ts';
import type { CommandQueue } from './commands.ts';
import type { DeviceHealth } from './health.ts';
import { BUFFER_USAGE, MAP_MODE } from './usage.ts';

// Readback buffers up to this size are kept, one per size, for the next read.
const KEPT_BYTES = 64 * 1024 * 1024;
const MIN_BYTES = 256;

/** Reads ranges of device buffers. */
export class Readback {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #commands: CommandQueue;
  readonly #free: Map<number, GPUBuffer> = new Map();

  constructor(device: GPUDevice, health: DeviceHealth, commands: CommandQueue) {
    this.#device = device;
    this.#health = health;
    this.#commands = commands;
  }

  /**
   * The bytes of a range once all earlier work is done.
   *
   * @throws DeviceLostError when the device is lost meanwhile.
   */
  async read(
    buffer: GpuBuffer,
    byteOffset: number,
    byteLength: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#health.check();
    const start = byteOffset - (byteOffset % 4);
    const size = Math.ceil((byteOffset + byteLength - start) / 4) * 4;
    const staging = this.#take(size);
    this.#commands.copyRaw(buffer.handle, start, staging, 0, size);
    this.#commands.flush();
    await this.#health.guard(staging.mapAsync(MAP_MODE.read, 0, size));
    const mapped = new Uint8Array(staging.getMappedRange(0, size));
    const bytes = mapped.slice(byteOffset - start, byteOffset - start + byteLength);
    staging.unmap();
    this.#put(staging);
    return bytes;
  }

  dispose(): void {
    for (const buffer of this.#free.values()) buffer.destroy();
    this.#free.clear();
  }

  #take(bytes: number): GPUBuffer {
    const size = Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    const free = this.#free.get(size);
    this.#free.delete(size);
    return (
      free ??
      this.#device.createBuffer({
        label: 'readback',
        size: size > KEPT_BYTES ? bytes : size,
        usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyTarget,
      })
    );
  }

  #put(buffer: GPUBuffer): void {
    if (buffer.size > KEPT_BYTES || this.#free.has(buffer.size)) buffer.destroy();
    else this.#free.set(buffer.size, buffer);
  }
}
