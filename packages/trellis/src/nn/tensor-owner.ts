/** Objects that own tensors for longer than one scope: networks, prepared conditions, caches. */
import { type Device, type Resource, type ResourceOwner, type Tensor } from '@pergola/core';

/**
 * Owner of tensors with one lifetime. It is a resource of the scope it was made in: `device.run` can return it,
 * and disposing it frees everything it owns.
 */
export abstract class TensorOwner implements Resource, ResourceOwner, Disposable {
  readonly device: Device;
  readonly #tensors: Set<Tensor> = new Set();
  #disposed = false;

  protected constructor(device: Device) {
    this.device = device;
    device.track(this);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Takes a tensor out of its scope; it now lives as long as this object. Returns the tensor. */
  protected own(tensor: Tensor): Tensor {
    this.#tensors.add(tensor.keep());
    return tensor;
  }

  /** Frees one owned tensor early. */
  protected release(tensor: Tensor): void {
    this.#tensors.delete(tensor);
    tensor.dispose();
  }

  /** Frees everything this object owns. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.device.detach(this);
    for (const tensor of this.#tensors) tensor.dispose();
    this.#tensors.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  ownedResources(): Iterable<Resource> {
    return [this];
  }
}
