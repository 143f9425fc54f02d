/** `sparseConv3d`: a matrix product whose rows are gathered through the neighbour map. */
import type { KernelCall } from '@pergola/core';
import type { WebGpuKernel } from '../../context.ts';
import type { Product } from '../../product/problem.ts';
import { PlannedProduct, PRODUCT_STRATEGIES } from '../../product/product.ts';
import { gatheredRows, tapWeights, type ConvShape } from './conv-operands.ts';

function convProduct({ inputs, outputs }: KernelCall): Product {
  const [x, , bias, map] = inputs;
  const { dtype, shape } = outputs[0]!;
  const [sources, channels] = x!.shape as [number, number];
  const taps = map!.shape[1]!;
  const [rows, columns] = shape as [number, number];
  const conv: ConvShape = { dtype, sources, rows, taps, channels, columns };
  return {
    label: 'sparseConv3d',
    dtype,
    rows,
    columns,
    depth: taps * channels,
    batches: 1,
    left: gatheredRows(conv),
    right: tapWeights(conv),
    biasStride: bias === undefined ? undefined : 1,
    activation: 'none',
    out: { batchStride: 0, rowStride: columns, columnStride: 1 },
  };
}

export const sparseConv3dKernel: WebGpuKernel<object, PlannedProduct> = {
  op: 'sparseConv3d',
  strategies: PRODUCT_STRATEGIES,
  supports: () => true,
  prepare: (call, context, forced) => new PlannedProduct(context, convProduct(call), forced),
  run(plan, [x, weight, bias, map], [out]) {
    plan.enqueue([x!, weight!, ...(bias === undefined ? [] : [bias]), out!, map!]);
  },
};
