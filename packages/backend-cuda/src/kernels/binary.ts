/** Elementwise ops of two operands with broadcasting; the second may be a number. */
import { broadcastStrides, isFloat, type BinaryAttrs, type TensorLayout } from '@pergola/core';
import { planLaunch, runLaunch, type CudaKernel } from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, packBroadcast } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

const BINARY_OPS = [
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'minimum',
  'maximum',
  'floorDivide',
  'remainder',
  'equal',
  'notEqual',
  'less',
  'lessEqual',
  'greater',
  'greaterEqual',
  'logicalAnd',
  'logicalOr',
] as const;

/** Strides of an operand as seen from the shape of the result; 0 everywhere for one that is absent. */
export function operandStrides(x: TensorLayout | undefined, shape: readonly number[]): number[] {
  return x === undefined ? shape.map(() => 0) : broadcastStrides(x.shape, x.strides, shape);
}

function binaryKernel(op: string): CudaKernel<BinaryAttrs> {
  return {
    op,
    supports: fitsIndices,
    acceptsStrides: () => true,
    prepare(call, context) {
      const [a, b] = call.inputs;
      const { shape } = call.outputs[0]!;
      const { scalar = 0, reverse = false } = call.attrs;
      const params = new ParamBlock()
        .dtype(a!.dtype)
        .float(scalar)
        .int(isFloat(a!.dtype) ? 0 : scalar)
        .bool(b === undefined && reverse);
      const axes = mergeAxes(shape, [operandStrides(a, shape), operandStrides(b, shape)]);
      return planLaunch(context, op, call, packBroadcast(params, axes), 2);
    },
    run: runLaunch,
  };
}

/** Arithmetic, comparisons and logic. */
export const binaryKernels: readonly CudaKernel<BinaryAttrs>[] = BINARY_OPS.map(binaryKernel);
