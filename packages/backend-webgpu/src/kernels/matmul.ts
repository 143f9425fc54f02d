/** `matmul` and `linear`. */
import { broadcastStrides, sizeOf, type KernelCall, type LinearAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { matrixSource } from '../product/operand.ts';
import type { Product } from '../product/problem.ts';
import { PlannedProduct, PRODUCT_STRATEGIES } from '../product/product.ts';
import { mergeAxes } from './walk.ts';

function matmulProduct({ inputs, outputs }: KernelCall): Product {
  const [a, b] = inputs;
  const { dtype, shape } = outputs[0]!;
  const [rows, columns] = shape.slice(-2) as [number, number];
  const depth = a!.shape[a!.shape.length - 1]!;
  const lead = shape.slice(0, -2);
  const strides = [a!, b!].map((operand) =>
    broadcastStrides(operand.shape.slice(0, -2), operand.strides.slice(0, -2), lead),
  );
  const [rowStride, aDepthStride] = a!.strides.slice(-2) as [number, number];
  const [bDepthStride, columnStride] = b!.strides.slice(-2) as [number, number];
  // One matrix b for all of them: the batch is more rows.
  const joined = mergeAxes([...lead, rows], [[...strides[0]!, rowStride]]);
  const flat =
    joined.shape.length === 1 && strides[1]!.every((stride, i) => stride === 0 || lead[i] === 1);
  const batch = flat ? mergeAxes([], [[], []]) : mergeAxes(lead, strides);
  const batches = flat ? 1 : sizeOf(lead);
  const lines = flat ? joined.shape[0]! : rows;
  const common = { dtype, depth, batchShape: batch.shape };
  return {
    label: 'matmul',
    dtype,
    rows: lines,
    columns,
    depth,
    batches,
    left: matrixSource({
      ...common,
      lines,
      lineStride: flat ? joined.strides[0]![0]! : rowStride,
      depthStride: aDepthStride,
      batchStrides: batch.strides[0]!,
    }),
    right: matrixSource({
      ...common,
      lines: columns,
      lineStride: columnStride,
      depthStride: bDepthStride,
      batchStrides: batch.strides[1]!,
    }),
    biasStride: undefined,
    activation: 'none',
    out: { batchStride: lines * columns, rowStride: columns, columnStride: 1 },
  };
}

/** The rows of x as one axis; undefined when its leading axes do not merge. */
function rowsOf({ shape, strides }: NonNullable<KernelCall['inputs'][0]>): number | undefined {
  const rows = mergeAxes(shape.slice(0, -1), [strides.slice(0, -1)]);
  return rows.shape.length === 1 ? rows.strides[0]![0]! : undefined;
}

function linearProduct({ inputs, outputs, attrs }: KernelCall<LinearAttrs>): Product {
  const [x, weight, bias] = inputs;
  const { dtype } = outputs[0]!;
  const [columns, depth] = weight!.shape as [number, number];
  const rows = sizeOf(x!.shape.slice(0, -1));
  const common = { dtype, depth, batchShape: [], batchStrides: [] };
  return {
    label: `linear.${attrs.activation}`,
    dtype,
    rows,
    columns,
    depth,
    batches: 1,
    left: matrixSource({
      ...common,
      lines: rows,
      lineStride: rowsOf(x!) ?? depth,
      depthStride: x!.strides[x!.shape.length - 1]!,
    }),
    right: matrixSource({
      ...common,
      lines: columns,
      lineStride: weight!.strides[0]!,
      depthStride: weight!.strides[1]!,
    }),
    biasStride: bias?.strides[0],
    activation: attrs.activation,
    out: { batchStride: rows * columns, rowStride: columns, columnStride: 1 },
  };
}

function productKernel<Attrs extends object>(
  op: string,
  product: (call: KernelCall<Attrs>) => Product,
  acceptsStrides: (call: KernelCall<Attrs>) => boolean,
): WebGpuKernel {
  const kernel: WebGpuKernel<Attrs, PlannedProduct> = {
    op,
    strategies: PRODUCT_STRATEGIES,
    supports: () => true,
    acceptsStrides,
    prepare: (call, context, strategy) => new PlannedProduct(context, product(call), strategy),
    run(plan, inputs, [out]) {
      plan.enqueue([...inputs.filter((input) => input !== undefined), out!]);
    },
  };
  return kernel;
}

export const matmulKernels: readonly WebGpuKernel[] = [
  productKernel('matmul', matmulProduct, () => true),
  productKernel('linear', linearProduct, ({ inputs }) => rowsOf(inputs[0]!) !== undefined),
];
