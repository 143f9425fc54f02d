/** `cast` between f32 and every other dtype; pairs without f32 run on the reference. */
import { bytesPerElement, type DType } from '../../dtype.ts';
import type { CastAttrs } from '../../ops/cast.ts';
import { sizeOf } from '../../shape.ts';
import { addressOf, type CpuContext, type CpuKernel } from '../context.ts';
import { wasm } from '../wasm/cast.generated.ts';

// The numbers by which wasm/cast.ts knows the conversions.
const CONVERSIONS: Readonly<Record<string, number>> = {
  'f16 f32': 0,
  'bf16 f32': 1,
  'f32 f16': 2,
  'f32 bf16': 3,
  'i32 f32': 4,
  'u32 f32': 5,
  'u8 f32': 6,
  'bool f32': 6,
  'f32 i32': 7,
  'f32 u32': 8,
  'f32 u8': 9,
};

const CHUNK = 8192;
const GRAIN = 65_536;

/** Converts `count` contiguous elements between byte addresses. */
export function convert(
  context: CpuContext,
  from: DType,
  to: DType,
  source: number,
  target: number,
  count: number,
): void {
  const words = [
    ...[source, target, CONVERSIONS[`${from} ${to}`]!, count, CHUNK],
    ...[bytesPerElement(from), bytesPerElement(to)],
  ];
  context.pool.run(wasm, 'convert', words, Math.ceil(count / CHUNK), GRAIN / CHUNK);
}

interface CastPlan {
  readonly from: DType;
  readonly to: DType;
  readonly count: number;
}

export const castKernel: CpuKernel<CastAttrs, CastPlan> = {
  op: 'cast',
  supports({ inputs, attrs: { dtype } }) {
    const from = inputs[0]!.dtype;
    return `${from} ${dtype}` in CONVERSIONS ? true : `it does not convert ${from} to ${dtype}`;
  },
  prepare: ({ inputs: [x], attrs: { dtype } }) => ({
    from: x!.dtype,
    to: dtype,
    count: sizeOf(x!.shape),
  }),
  run({ from, to, count }, [x], [out], context) {
    convert(context, from, to, addressOf(x!, from), addressOf(out!, to), count);
  },
};
