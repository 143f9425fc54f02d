/**
 * matmul and linear: through cuBLASLt where it was found, else by kernels of our own: `wgmma` on Hopper or `mma` for half
 * types, `tiled` for everything else. Transposed operands are read in place.
 */
import {
  broadcastStrides,
  bytesPerElement,
  contiguousStrides,
  sizeOf,
  UnsupportedOpError,
  type Activation,
  type Binding,
  type DType,
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
import { HOPPER } from '../tensor-cores.ts';

// In the order of the enum in native/kernels/matmul.cu; the best first.
const STRATEGIES = ['cublaslt', 'wgmma', 'mma', 'tiled'] as const;
// Halves in one 16-byte copy.
const VECTOR = 8;
// In the order of the enum in native/kernels/matmul_product.cuh.
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

/** One product as the launcher sees it. */
interface Product {
  readonly dtype: DType;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: MatrixStorage;
  readonly right: MatrixStorage;
  /** Matrices of the batch, and elements from one to the next. */
  readonly batch: readonly [count: number, left: number, right: number];
  readonly activation: Activation;
}

/** Why a strategy cannot serve a product, or undefined. */
function obstacle(
  strategy: (typeof STRATEGIES)[number],
  { dtype, n, k, left, right, batch }: Product,
  { capability, productObstacle }: CudaContext,
): string | undefined {
  if (strategy === 'tiled') return undefined;
  if (strategy === 'cublaslt') return productObstacle === '' ? undefined : productObstacle;
  if (dtype === 'f32') return 'it serves half types';
  if (left.transposed) return 'its left operand must be stored row by row';
  const whole = [k, right.transposed ? k : n, left.leading, right.leading, ...batch.slice(1)];
  if (whole.some((extent) => extent % VECTOR !== 0)) return `rows must be multiples of ${VECTOR}`;
  if (strategy === 'mma') return undefined;
  if (capability !== HOPPER) return 'it needs compute capability 9.0';
  return right.transposed ? undefined : 'its right operand must be stored transposed';
}

/** @throws UnsupportedOpError when a forced strategy cannot serve the product. */
function chooseStrategy(
  op: string,
  product: Product,
  context: CudaContext,
  forced: string | undefined,
): number {
  const chosen = STRATEGIES.findIndex((strategy) =>
    forced === undefined ? obstacle(strategy, product, context) === undefined : strategy === forced,
  );
  const reason = obstacle(STRATEGIES[chosen]!, product, context);
  if (reason === undefined) return chosen;
  throw new UnsupportedOpError(`${op}: strategy ${forced} cannot serve this call: ${reason}.`);
}

function packProduct(
  op: string,
  product: Product,
  context: CudaContext,
  strategy: string | undefined,
): ParamBlock {
  const { dtype, m, n, k, left, right, batch, activation } = product;
  return new ParamBlock()
    .int(m, n, k)
    .int(left.leading, right.leading)
    .bool(left.transposed)
    .bool(right.transposed)
    .int(...batch)
    .dtype(dtype)
    .bool(context.tf32)
    .int(ACTIVATIONS.indexOf(activation))
    .int(chooseStrategy(op, product, context, strategy));
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

function planProducts(
  call: KernelCall,
  context: CudaContext,
  strategy: string | undefined,
): readonly ProductLaunch[] {
  const [a, b] = call.inputs as readonly [TensorLayout, TensorLayout];
  const out = call.outputs[0]!.shape;
  const batch = out.slice(0, -2);
  const whole = contiguousStrides(out).slice(0, -2);
  const axes = mergeAxes(batch, [batchStrides(a, batch), batchStrides(b, batch), whole]);
  const product: Product = {
    dtype: a.dtype,
    m: out.at(-2)!,
    n: out.at(-1)!,
    k: a.shape.at(-1)!,
    left: matrixStorage(a)!,
    right: matrixStorage(b)!,
    batch: [axes.extents.at(-1)!, axes.strides[0]!.at(-1)!, axes.strides[1]!.at(-1)!],
    activation: 'none',
  };
  // The launcher's third buffer is the bias, which a plain product has not.
  const params = packProduct('matmul', product, context, strategy);
  const plan = planLaunch(context, 'matmul', call, params, 3);
  return launchStarts(axes).map((starts) => ({ plan, starts }));
}

function moved(binding: Binding<CudaBuffer>, by: number): Binding<CudaBuffer> {
  return { buffer: binding.buffer, offset: binding.offset + by };
}

export const matmulKernel: CudaKernel<object, MatmulPlan> = {
  op: 'matmul',
  strategies: STRATEGIES,
  supports: fitsIndices,
  acceptsStrides: ({ inputs }) => inputs.every((operand) => matrixStorage(operand!) !== undefined),
  prepare(call, context, strategy) {
    if (call.inputs[0]!.shape.at(-1) === 0) return { products: [], fill: planZeros(call, context) };
    return { products: planProducts(call, context, strategy) };
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
  strategies: STRATEGIES,
  supports: ({ inputs: [x] }) => (x!.shape.at(-1) === 0 ? 'it sums nothing' : true),
  prepare(call, context, strategy) {
    const [x, weight] = call.inputs;
    const [columns, depth] = weight!.shape as [number, number];
    const product: Product = {
      dtype: x!.dtype,
      m: sizeOf(x!.shape) / depth,
      n: columns,
      k: depth,
      left: { leading: depth, transposed: false },
      right: { leading: depth, transposed: true },
      batch: [1, 0, 0],
      activation: call.attrs.activation,
    };
    const params = packProduct('linear', product, context, strategy);
    return planLaunch(context, 'matmul', call, params, 3);
  },
  run: runLaunch,
};
