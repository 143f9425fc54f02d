/** Bind groups by layout and buffers: with pooled buffers a program meets the same few sets again and again. */
import type { GpuBuffer } from './buffers.ts';
import type { StorageLayout } from './pipelines.ts';

// Bounds the memory of programs whose buffers never repeat.
const MAX_GROUPS = 16384;

/** Makes each bind group once. */
export class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #groups: Map<string, GPUBindGroup> = new Map();
  /** Keys of the groups that bind a buffer, by buffer id. */
  readonly #keysOf: Map<number, Set<string>> = new Map();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The group that binds `buffers`, whole, in order. */
  get(layout: StorageLayout, buffers: readonly GpuBuffer[]): GPUBindGroup {
    let key = String(layout.id);
    for (const buffer of buffers) key += `.${buffer.id}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    if (this.#groups.size >= MAX_GROUPS) {
      this.#groups.clear();
      this.#keysOf.clear();
    }
    const group = this.#device.createBindGroup({
      layout: layout.handle,
      entries: buffers.map((buffer, binding) => ({
        binding,
        resource: { buffer: buffer.handle, offset: 0, size: buffer.bytes },
      })),
    });
    this.#groups.set(key, group);
    for (const { id } of buffers) {
      const keys = this.#keysOf.get(id);
      if (keys === undefined) this.#keysOf.set(id, new Set([key]));
      else keys.add(key);
    }
    return group;
  }

  /** Drops the groups of a buffer that is about to be destroyed. */
  forget(buffer: GpuBuffer): void {
    for (const key of this.#keysOf.get(buffer.id) ?? []) this.#groups.delete(key);
    this.#keysOf.delete(buffer.id);
  }
}
