/** `segmentReduce` in f32 on the CPU. */
import { addressOf, floatWord, onlyF32, sizeOf, type CpuKernel } from '@pergola/core';
import type { SegmentReduceAttrs } from '../ops/segment.ts';
import { wasm } from './wasm/rows.generated.ts';

// Elements worth handing to another thread, about 30 microseconds.
const GRAIN_ELEMENTS = 65_536;
const CODES = { sum: 0, mean: 1, max: 2, min: 3 } as const;

interface SegmentPlan {
  readonly attrs: SegmentReduceAttrs;
  readonly segments: number;
  readonly rowBytes: number;
  readonly grain: number;
}

export const segmentReduceKernel: CpuKernel<SegmentReduceAttrs, SegmentPlan> = {
  op: 'segmentReduce',
  supports: ({ inputs: [x] }) => onlyF32([x]),
  prepare({ inputs: [x, order], outputs, attrs }) {
    const channels = sizeOf(x!.shape.slice(1));
    const segments = outputs[0]!.shape[0]!;
    const perSegment = (order!.shape[0]! * channels) / segments + 1;
    return { attrs, segments, rowBytes: channels * 4, grain: GRAIN_ELEMENTS / perSegment };
  },
  run({ attrs, segments, rowBytes, grain }, [x, order, offsets], [out], context) {
    const words = [
      ...[addressOf(x!, 'f32'), addressOf(order!, 'i32'), addressOf(offsets!, 'i32')],
      ...[addressOf(out!, 'f32'), rowBytes, CODES[attrs.reduce], floatWord(attrs.extraCount)],
    ];
    context.pool.run(wasm, 'segments', words, segments, grain);
  },
};
