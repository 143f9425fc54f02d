/** Scopes: the lifetimes of the resources made while they are open. */
import type { Device } from './device.ts';
import { ownedResources, type Resource } from './tensor.ts';

/** Frees every resource made while it was open, except those kept or returned. */
export class Scope implements Disposable {
  readonly #device: Device;
  readonly #resources: Set<Resource> = new Set();
  #open = true;

  /** @internal Scopes are made by `device.scope()`. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** @internal */
  add(resource: Resource): void {
    this.#resources.add(resource);
  }

  /** @internal */
  delete(resource: Resource): boolean {
    return this.#resources.delete(resource);
  }

  get open(): boolean {
    return this.#open;
  }

  /** Hands the resources that `value` owns to the enclosing scope (or out of all scopes). Returns `value`. */
  keep<T>(value: T): T {
    for (const resource of ownedResources(value)) this.#device.promote(resource, this);
    return value;
  }

  /** Closes the scope and frees what is left in it. */
  dispose(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#device.closeScope(this);
    for (const resource of [...this.#resources]) resource.dispose();
    this.#resources.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
