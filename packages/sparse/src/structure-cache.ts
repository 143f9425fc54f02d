/** What a sparse structure builds once and owns: finished parts, parts under way, and their disposal. */
import { LifetimeError, type Device, type Resource } from '@pergola/core';

/** The resources in a part: itself, or those of a plain object's values (structures made from this one included). */
function resourcesOf(part: unknown): Resource[] {
  if (part === null || typeof part !== 'object') return [];
  if ('dispose' in part) return [part as Resource];
  return Object.values(part).flatMap(resourcesOf);
}

/** A cache of built values that owns the resources in them. */
export class StructureCache implements Resource {
  readonly #device: Device;
  readonly #built: Map<string, unknown> = new Map();
  readonly #pending: Map<string, Promise<unknown>> = new Map();
  #disposed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** @throws LifetimeError after `dispose()`. */
  check(): void {
    if (this.#disposed) {
      throw new LifetimeError('SparseStructure: was disposed and can no longer be used.');
    }
  }

  /** A built part. @throws LifetimeError when it was not built. */
  get(key: string): unknown {
    this.check();
    if (!this.#built.has(key)) {
      throw new LifetimeError(
        `SparseStructure: ${key} was not built yet; await the structure's method of that name first.`,
      );
    }
    return this.#built.get(key);
  }

  /** A part, made at the first call; calls that come while it is being made share the work. */
  async build<T>(key: string, make: () => Promise<T>): Promise<T> {
    this.check();
    if (this.#built.has(key)) return this.#built.get(key) as T;
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending as Promise<T>;
    const made = make().then((value) => this.#adopt(key, value));
    this.#pending.set(key, made);
    try {
      return await made;
    } finally {
      this.#pending.delete(key);
    }
  }

  /** A part that needs no waiting. */
  buildNow<T>(key: string, make: () => T): T {
    this.check();
    if (this.#built.has(key)) return this.#built.get(key) as T;
    return this.#adopt(key, make());
  }

  #adopt<T>(key: string, value: T): T {
    // Parts outlive the scope in which they were first asked for.
    for (const resource of resourcesOf(value)) this.#device.detach(resource);
    if (this.#disposed) {
      for (const resource of resourcesOf(value)) resource.dispose();
      this.check();
    }
    this.#built.set(key, value);
    return value;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const value of this.#built.values()) {
      for (const resource of resourcesOf(value)) resource.dispose();
    }
    this.#built.clear();
  }
}
