/** matmul and linear through cuBLASLt. Transposed operands are read in place. */
import {
  broadcastStrides,
  bytesPerElement,
  contiguousStrides,
  sizeOf,
  type Binding,
  type KernelCall,
  type LinearAttrs,
  type TensorLayout,
} from '@pergola/core';
import {
  planLaunch,
  runLaunch,
  type CudaBuffer,
  type CudaContext,
  type CudaKernel,
  type LaunchPlan,
} from '../kernel.ts';
import { fitsIndices } from '../limits.ts';
import { mergeAxes, type MergedAxes } from '../merge-axes.ts';
import { ParamBlock } from '../params.ts';

// In the order of the enum in native/kernels/matmul.cu.
const ACTIVATIONS = ['none', 'relu', 'silu', 'gelu', 'geluTanh', 'quickGelu'] as const;

/** How cuBLASLt addresses the last two axes: rows `leading` apart, or columns when stored transposed. */
interface MatrixStorage {
  readonly leading: number;
  readonly transposed: boolean;
}

/** The storage of a matrix, or undefined when neither of its axes is contiguous. */
function matrixStorage({ shape, strides }: TensorLayout): MatrixStorage | undefined {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const [rowStride, columnStride] = strides.slice(-2) as [number, number];
  if ((columnStride === 1 || columns === 1) && (rowStride >= columns || rows === 1)) {
    return { leading: Math.max(rowStride, columns), transposed: false };
  }
  if ((rowStride === 1 || rows === 1) && (columnStride >= rows || columns === 1)) {
    return { leading: Math.max(columnStride, rows), transposed: true };
  }
  return undefined;
}

/** Why there are no products, or true. */
function hasProducts({ productObstacle }: CudaContext): true | string {
  return productObstacle === '' || productObstacle;
}

/** Strides of an operand along the batch axes of the result. */
function batchStrides({ shape, strides }: TensorLayout, batch: readonly number[]): number[] {
  return broadcastStrides(shape.slice(0, -2), strides.slice(0, -2), batch);
}

/** One launch of a product, and how far into its operands and result it starts, in elements. */
interface ProductLaunch {
  readonly plan: LaunchPlan;
  readonly starts: readonly [a: number, b: number, out: number];
}

/** The products of a call, or what fills the result when nothing is summed. */
interface MatmulPlan {
  readonly products: readonly ProductLaunch[];
  readonly fill?: LaunchPlan;
}

/** Starts of all launches: one for each place along all batch axes but the last, which a launch walks itself. */
function launchStarts({ extents, strides }: MergedAxes): [number, number, number][] {
  let starts: [number, number, number][] = [[0, 0, 0]];
  for (let axis = 0; axis < extents.length - 1; axis++) {
    const steps = strides.map((operand) => operand[axis]!);
    starts = starts.flatMap((start) =>
      Array.from(
        { length: extents[axis]! },
        (_, place) => start.map((at, i) => at + place * steps[i]!) as [number, number, number],
      ),
    );
  }
  return starts;
}

function planZeros(call: KernelCall, context: CudaContext): LaunchPlan {
  const { dtype, shape } = call.outputs[0]!;
  const words = Math.ceil((sizeOf(shape) * bytesPerElement(dtype)) / 4);
  return planLaunch(context, 'full', call, new ParamBlock().int(0, words), 0);
}

function planProducts(call: KernelCall, context: CudaContext): readonly ProductLaunch[] {
  const [a, b] = call.inputs as readonly [TensorLayout, TensorLayout];
  const out = call.outputs[0]!.shape;
  const batch = out.slice(0, -2);
  const whole = contiguousStrides(out).slice(0, -2);
  const axes = mergeAxes(batch, [batchStrides(a, batch), batchStrides(b, batch), whole]);
  const [left, right] = [matrixStorage(a)!, matrixStorage(b)!];
  const params = new ParamBlock()
    .int(out.at(-2)!, out.at(-1)!, a.shape.at(-1)!)
    .int(left.leading, right.leading)
    .bool(left.transposed)
    .bool(right.transposed)
    .int(axes.extents.at(-1)!, axes.strides[0]!.at(-1)!, axes.strides[1]!.at(-1)!)
    .dtype(a.dtype)
    .bool(context.tf32)
    .int(ACTIVATIONS.indexOf('none'));
  // The launcher's third buffer is the bias, which a plain product has not.
  const plan = planLaunch(context, 'matmul', call, params, 3);
  return launchStarts(axes).map((starts) => ({ plan, starts }));
}

function moved(binding: Binding<CudaBuffer>, by: number): Binding<CudaBuffer> {
  return { buffer: binding.buffer, offset: binding.offset + by };
}

export const matmulKernel: CudaKernel<object, MatmulPlan> = {
  op: 'matmul',
  supports(call, context) {
    const fits = fitsIndices(call);
    return fits === true ? hasProducts(context) : fits;
  },
  acceptsStrides: ({ inputs }) => inputs.every((operand) => matrixStorage(operand!) !== undefined),
  prepare(call, context) {
    if (call.inputs[0]!.shape.at(-1) === 0) return { products: [], fill: planZeros(call, context) };
    return { products: planProducts(call, context) };
  },
  run({ products, fill }, [a, b], [out], context) {
    if (fill !== undefined) runLaunch(fill, [], [out!], context);
    for (const { plan, starts } of products) {
      const operands = [moved(a!, starts[0]), moved(b!, starts[1])];
      runLaunch(plan, operands, [moved(out!, starts[2])], context);
    }
  },
};

export const linearKernel: CudaKernel<LinearAttrs> = {
  op: 'linear',
  supports: ({ inputs: [x] }, context) =>
    x!.shape.at(-1) === 0 ? 'it sums nothing' : hasProducts(context),
  prepare(call, context) {
    const [x, weight] = call.inputs;
    const [columns, depth] = weight!.shape as [number, number];
    const params = new ParamBlock()
      .int(sizeOf(x!.shape) / depth, columns, depth)
      .int(depth, depth)
      .bool(false)
      .bool(true)
      .int(1, 0, 0)
      .dtype(x!.dtype)
      .bool(context.tf32)
      .int(ACTIVATIONS.indexOf(call.attrs.activation));
    return planLaunch(context, 'matmul', call, params, 3);
  },
  run: runLaunch,
};
