/** Named tensors of a network, seen from the layer that uses them. */
import { CheckpointError, type Tensor } from '@pergola/core';

/** A view on loaded parameters under a prefix. Owns nothing. */
export class Weights {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #prefix: string;

  constructor(tensors: ReadonlyMap<string, Tensor>, prefix = '') {
    this.#tensors = tensors;
    this.#prefix = prefix;
  }

  /** The parameters below `path`: `weights.at('blocks.0.mlp')`. */
  at(path: string): Weights {
    return new Weights(this.#tensors, `${this.#prefix}${path}.`);
  }

  /** @throws CheckpointError when the parameter was not loaded. */
  get(name: string): Tensor {
    const tensor = this.#tensors.get(this.#prefix + name);
    if (tensor !== undefined) return tensor;
    throw new CheckpointError(`weights: parameter ${this.#prefix}${name} is not loaded.`);
  }

  has(name: string): boolean {
    return this.#tensors.has(this.#prefix + name);
  }
}
