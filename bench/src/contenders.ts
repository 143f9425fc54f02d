/** Contenders that run an op of the catalogue: on a device, or through its plain reference kernel. */
import {
  allocateValues,
  inferOutputs,
  sizeOf,
  type Device,
  type HostTensor,
  type Op,
  type Tensor,
  type TensorSpec,
} from '@pergola/core';
import type { Contender } from './runner.ts';

/** Uniform values in [-1, 1) from a fixed linear congruential sequence: the same data in every run. */
export function fillUniform(length: number): Float32Array {
  const out = new Float32Array(length);
  let state = 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2147483648 - 1;
  }
  return out;
}

/** Runs `body` on the device; its results are freed at the end of each sample, inputs by `dispose`. */
export function deviceContender(
  name: string,
  device: Device,
  inputs: readonly Tensor[],
  body: () => Tensor,
): Contender {
  return {
    name,
    async run() {
      body().dispose();
      await device.sync();
    },
    dispose() {
      for (const input of inputs) input.dispose();
    },
  };
}

/** Runs the op's reference kernel on f32 host data. */
export function referenceContender<Attrs extends object>(
  op: Op<Attrs>,
  inputs: readonly (TensorSpec & { readonly data?: Int32Array })[],
  attrs: Attrs,
): Contender {
  const hosts = inputs.map(({ dtype, shape, data }): HostTensor => ({
    dtype,
    shape,
    data: data ?? fillUniform(sizeOf(shape)),
  }));
  const outputs = inferOutputs(op, inputs, attrs).map(({ dtype, shape }): HostTensor => ({
    dtype,
    shape,
    data: allocateValues(dtype, sizeOf(shape)),
  }));
  return {
    name: 'plain reference',
    run() {
      op.reference(hosts, attrs, outputs);
      return Promise.resolve();
    },
  };
}
