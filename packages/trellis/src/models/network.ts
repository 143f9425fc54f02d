/** What all networks have in common: a device, a torso dtype, and parameters with one lifetime. */
import type { LoadedParameters, TorsoDType } from '../checkpoints/load-parameters.ts';
import { TensorOwner } from '../nn/tensor-owner.ts';
import { Weights } from '../nn/weights.ts';

/** A network on a device. `dispose()` frees its parameters. */
export abstract class Network extends TensorOwner {
  /** Dtype in which the torso computes. */
  readonly dtype: TorsoDType;
  protected readonly weights: Weights;

  protected constructor(parameters: LoadedParameters) {
    super(parameters.device);
    this.dtype = parameters.dtype;
    for (const tensor of parameters.tensors.values()) this.own(tensor);
    this.weights = new Weights(parameters.tensors);
  }
}
