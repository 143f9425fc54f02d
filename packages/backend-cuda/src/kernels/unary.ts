/** Elementwise ops of one operand, one launcher each. */
import type { GeluAttrs, KernelCall, TensorLayout } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

const UNARY_OPS = [
  'neg',
  'abs',
  'sign',
  'exp',
  'expm1',
  'log',
  'log1p',
  'sqrt',
  'rsqrt',
  'square',
  'reciprocal',
  'sin',
  'cos',
  'tanh',
  'sigmoid',
  'relu',
  'silu',
  'softplus',
  'erf',
  'floor',
  'ceil',
  'round',
  'logicalNot',
  'isNaN',
  'isFinite',
] as const;

/** The parameter block of a launcher that maps one operand. */
export function unaryParams(x: TensorLayout): ParamBlock {
  return packBroadcast(new ParamBlock().dtype(x.dtype), mergeAxes(x.shape, [x.strides]));
}

function unaryKernel(op: string): CudaKernel {
  return {
    op,
    supports: fitsIndices,
    acceptsStrides: () => true,
    prepare: (call, context) => planLaunch(context, op, call, unaryParams(call.inputs[0]!)),
    run: runLaunch,
  };
}

/** Functions, activations and tests of one operand. */
export const unaryKernels: readonly CudaKernel[] = UNARY_OPS.map(unaryKernel);

/** gelu: one launcher for each of its forms. */
export const geluKernel: CudaKernel<GeluAttrs> = {
  op: 'gelu',
  supports: fitsIndices,
  acceptsStrides: () => true,
  prepare: (call: KernelCall<GeluAttrs>, context) =>
    planLaunch(context, `gelu_${call.attrs.approximate}`, call, unaryParams(call.inputs[0]!)),
  run: runLaunch,
};
