/** `matmul` and `linear` in f32. Operands of any strides are read in place. */
import type { KernelCall } from '../../backend.ts';
import type { LinearAttrs } from '../../ops/matmul.ts';
import type { TensorLayout } from '../../op.ts';
import { broadcastStrides, sizeOf } from '../../shape.ts';
import { addressOf, onlyF32, rowLayout, type CpuKernel } from '../context.ts';
import { multiply, type MatrixProduct } from '../gemm.ts';

function supportsProduct({ inputs }: KernelCall): true | string {
  if (inputs[0]!.shape[inputs[0]!.shape.length - 1] === 0) return 'it sums nothing';
  return onlyF32(inputs);
}

/** A product without addresses, and where in a and b each matrix starts (in elements). */
interface MatmulPlan {
  readonly layout: Omit<MatrixProduct, 'matrices'>;
  readonly aStarts: readonly number[];
  readonly bStarts: readonly number[];
}

/** First element of every matrix of an operand, in the row-major order of the batch. */
function matrixStarts(operand: TensorLayout, batch: readonly number[]): number[] {
  const lead = operand.shape.length - 2;
  const strides = broadcastStrides(
    operand.shape.slice(0, lead),
    operand.strides.slice(0, lead),
    batch,
  );
  let starts = [0];
  batch.forEach((extent, axis) => {
    const step = strides[axis]!;
    starts = starts.flatMap((start) => Array.from({ length: extent }, (_, i) => start + i * step));
  });
  return starts;
}

/** Elements of all matrices of an operand, or of the ones that one row stride reaches. */
function planMatmul(
  [a, b]: readonly [TensorLayout, TensorLayout],
  out: readonly number[],
): MatmulPlan {
  const [rows, columns] = out.slice(-2) as [number, number];
  const [rowStride, depthStride] = a.strides.slice(-2) as [number, number];
  const layout = {
    columns,
    depth: a.shape[a.shape.length - 1]!,
    bStrides: b.strides.slice(-2) as [number, number],
    cStride: columns,
  };
  // One b for all matrices of a: they are one tall matrix if one stride reaches all rows.
  const tall = sizeOf(b.shape.slice(0, -2)) === 1 ? rowLayout(a) : undefined;
  if (tall !== undefined) {
    return {
      layout: { ...layout, rows: tall.rows, aStrides: [tall.stride, depthStride] },
      aStarts: [0],
      bStarts: [0],
    };
  }
  const batch = out.slice(0, -2);
  return {
    layout: { ...layout, rows, aStrides: [rowStride, depthStride] },
    aStarts: matrixStarts(a, batch),
    bStarts: matrixStarts(b, batch),
  };
}

export const matmulKernel: CpuKernel<object, MatmulPlan> = {
  op: 'matmul',
  supports: supportsProduct,
  acceptsStrides: () => true,
  prepare: ({ inputs, outputs }) => planMatmul([inputs[0]!, inputs[1]!], outputs[0]!.shape),
  run({ layout, aStarts, bStarts }, inputs, outputs, context) {
    const [a, b, c] = [inputs[0]!, inputs[1]!, outputs[0]!].map((x) => addressOf(x, 'f32'));
    const bytes = layout.rows * layout.columns * 4;
    multiply(context, {
      ...layout,
      matrices: aStarts.map((start, i) => ({
        a: a! + start * 4,
        b: b! + bStarts[i]! * 4,
        c: c! + i * bytes,
      })),
    });
  },
};

type LinearPlan = Omit<MatrixProduct, 'matrices' | 'bias'>;

export const linearKernel: CpuKernel<LinearAttrs, LinearPlan> = {
  op: 'linear',
  supports: supportsProduct,
  acceptsStrides: ({ inputs: [x, , bias] }) =>
    rowLayout(x!) !== undefined && bias?.contiguous !== false,
  prepare({ inputs: [x, weight], attrs }) {
    const { rows, stride } = rowLayout(x!)!;
    const [columns, depth] = weight!.shape as [number, number];
    const [columnStride, depthStride] = weight!.strides as [number, number];
    return {
      rows,
      columns,
      depth,
      aStrides: [stride, x!.strides[x!.strides.length - 1]!],
      bStrides: [depthStride, columnStride],
      cStride: columns,
      activation: attrs.activation,
    };
  },
  run(plan, [x, weight, bias], [out], context) {
    const [a, b, c] = [x!, weight!, out!].map((binding) => addressOf(binding, 'f32'));
    multiply(context, {
      ...plan,
      matrices: [{ a: a!, b: b!, c: c! }],
      ...(bias === undefined ? {} : { bias: addressOf(bias, 'f32') }),
    });
  },
};
