/** Coordinate arithmetic on the CPU. */
import { addressOf, type CpuKernel } from '@pergola/core';
import type { ConvOutputCoordsAttrs, TransformCoordsAttrs } from '../ops/coords.ts';
import type { CurveCodesAttrs } from '../ops/curves.ts';
import { wasm } from './wasm/coords.generated.ts';

// Rows worth handing to another thread, about 30 microseconds.
const GRAIN_ROWS = 4096;

interface RowPlan<Attrs> {
  readonly attrs: Attrs;
  readonly rows: number;
}

export const transformCoordsKernel: CpuKernel<
  TransformCoordsAttrs,
  RowPlan<TransformCoordsAttrs>
> = {
  op: 'transformCoords',
  supports: () => true,
  prepare: ({ inputs: [coords], attrs }) => ({ attrs, rows: coords!.shape[0]! }),
  run({ attrs, rows }, [coords], [out], context) {
    const words = [
      ...[addressOf(coords!, 'i32'), addressOf(out!, 'i32'), attrs.batchShift],
      ...attrs.shift,
      ...attrs.divisor,
    ];
    context.pool.run(wasm, 'transform', words, rows, GRAIN_ROWS);
  },
};

export const subdivideCoordsKernel: CpuKernel<object, number> = {
  op: 'subdivideCoords',
  supports: () => true,
  prepare: ({ inputs: [coords] }) => coords!.shape[0]!,
  run(rows, [coords], [out], context) {
    const words = [addressOf(coords!, 'i32'), addressOf(out!, 'i32')];
    context.pool.run(wasm, 'subdivide', words, rows, GRAIN_ROWS / 8);
  },
};

export const convOutputCoordsKernel: CpuKernel<
  ConvOutputCoordsAttrs,
  RowPlan<ConvOutputCoordsAttrs> & { readonly reach: number }
> = {
  op: 'convOutputCoords',
  supports: () => true,
  prepare({ inputs: [coords], outputs, attrs }) {
    const rows = coords!.shape[0]!;
    return { attrs, rows, reach: Math.round(Math.cbrt(outputs[0]!.shape[0]! / rows)) };
  },
  run({ attrs, rows, reach }, [coords], [out], context) {
    const { kernelSize, stride, padding, dilation, outputShape } = attrs;
    const words = [
      ...[addressOf(coords!, 'i32'), addressOf(out!, 'i32'), reach],
      ...[kernelSize, stride, padding, dilation],
      ...(outputShape ?? [-1, -1, -1]),
    ];
    context.pool.run(wasm, 'convOutputs', words, rows, GRAIN_ROWS / reach ** 3);
  },
};

export const curveCodesKernel: CpuKernel<CurveCodesAttrs, RowPlan<CurveCodesAttrs>> = {
  op: 'curveCodes',
  supports: () => true,
  prepare: ({ inputs: [coords], attrs }) => ({ attrs, rows: coords!.shape[0]! }),
  run({ attrs: { order, bits, shift }, rows }, [coords], [out], context) {
    const words = [
      ...[addressOf(coords!, 'i32'), addressOf(out!, 'i32')],
      ...[Number(order.startsWith('hilbert')), Number(order.endsWith('transposed')), bits],
      ...shift,
    ];
    context.pool.run(wasm, 'curve', words, rows, GRAIN_ROWS / 4);
  },
};
