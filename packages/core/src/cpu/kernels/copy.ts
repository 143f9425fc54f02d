/** Data movement in every dtype: `copy`, `concat`, `pad`, `pixelShuffle`, `upsampleNearest` and `gather`. */
import { bytesPerElement, encodeStorage, isFloat } from '../../dtype.ts';
import { splitAtAxis } from '../../ops/axis-split.ts';
import type { ConcatAttrs } from '../../ops/concat.ts';
import type { GatherAttrs } from '../../ops/gather.ts';
import type { PadAttrs } from '../../ops/pad.ts';
import type { PixelShuffleAttrs, UpsampleNearestAttrs } from '../../ops/resample.ts';
import type { TensorLayout, TensorSpec } from '../../op.ts';
import { contiguousStrides, sizeOf, type Shape } from '../../shape.ts';
import { addressOf, viewBinding, type CpuKernel } from '../context.ts';
import { copyStrided, MAX_COPY_AXES, type StridedCopy } from '../strided-copy.ts';
import { wasm } from '../wasm/copy.generated.ts';

/** A copy without addresses; `start` is the first element in the target. */
interface CopyPlan extends Omit<StridedCopy, 'source' | 'target'> {
  readonly start: number;
}

function planCopy(from: TensorLayout, shape: Shape, targetStrides: readonly number[]): CopyPlan {
  return {
    bytes: bytesPerElement(from.dtype),
    shape,
    sourceStrides: from.strides,
    targetStrides,
    start: 0,
  };
}

function reachable({ shape }: TensorLayout): true | string {
  return shape.length <= MAX_COPY_AXES ? true : `it has more than ${MAX_COPY_AXES} axes`;
}

/** Kernels whose whole work is one copy of x. */
function copyKernel<Attrs extends object>(
  op: string,
  plan: (x: TensorLayout, out: TensorSpec, attrs: Attrs) => CopyPlan,
): CpuKernel<Attrs, CopyPlan> {
  return {
    op,
    supports: ({ inputs }) => reachable(inputs[0]!),
    acceptsStrides: () => op === 'copy',
    prepare: ({ inputs, outputs, attrs }) => plan(inputs[0]!, outputs[0]!, attrs),
    run(prepared, [x], [out], context) {
      copyStrided(context, {
        ...prepared,
        source: x!.buffer.address + x!.offset * prepared.bytes,
        target: out!.buffer.address + out!.offset * prepared.bytes,
      });
    },
  };
}

export const copyOpKernel: CpuKernel<object, CopyPlan> = copyKernel('copy', (x, out) =>
  planCopy(x, x.shape, contiguousStrides(out.shape)),
);

/** Spatial extents of an image or volume, and where its channels lie. */
function spatial(x: TensorSpec, first: boolean): { batch: number; extents: readonly number[] } {
  return { batch: x.shape[0]!, extents: first ? x.shape.slice(2) : x.shape.slice(1, -1) };
}

/** Each channel block becomes a block of positions: axes (c, i, j, ...) of the channels interleave with the positions. */
export const pixelShuffleKernel: CpuKernel<PixelShuffleAttrs, CopyPlan> = copyKernel(
  'pixelShuffle',
  (x, out, { factor, layout }) => {
    const first = layout === 'channelsFirst';
    const { batch, extents } = spatial(x, first);
    const axes = extents.length;
    const channels = out.shape[first ? 1 : axes + 1]!;
    const factors = extents.map(() => factor);
    const shape = first
      ? [batch, channels, ...factors, ...extents]
      : [batch, ...extents, channels, ...factors];
    const source = contiguousStrides(shape);
    const own = contiguousStrides(out.shape);
    const steps = first ? own.slice(2) : own.slice(1, -1);
    const coarse = steps.map((step) => step * factor);
    const targetStrides = first
      ? [own[0]!, own[1]!, ...steps, ...coarse]
      : [own[0]!, ...coarse, own[axes + 1]!, ...steps];
    return { ...planCopy(x, shape, targetStrides), sourceStrides: source };
  },
);

export const upsampleNearestKernel: CpuKernel<UpsampleNearestAttrs, CopyPlan> = copyKernel(
  'upsampleNearest',
  (x, out, { factor }) => {
    const extents = x.shape.slice(2);
    const own = contiguousStrides(x.shape);
    const planes = x.shape[0]! * x.shape[1]!;
    const shape = [planes, ...extents.flatMap((extent) => [extent, factor])];
    const sourceStrides = [own[1]!, ...own.slice(2).flatMap((step) => [step, 0])];
    const steps = contiguousStrides(out.shape);
    const targetStrides = [steps[1]!, ...steps.slice(2).flatMap((step) => [step * factor, step])];
    return { ...planCopy(x, shape, targetStrides), sourceStrides };
  },
);

interface ConcatPlan {
  readonly parts: readonly CopyPlan[];
}

export const concatKernel: CpuKernel<ConcatAttrs, ConcatPlan> = {
  op: 'concat',
  supports: ({ inputs }) => inputs.map((x) => reachable(x!)).find((x) => x !== true) ?? true,
  acceptsStrides: () => true,
  prepare({ inputs, outputs, attrs: { axis } }) {
    const strides = contiguousStrides(outputs[0]!.shape);
    let start = 0;
    const parts = inputs.map((x) => {
      const plan = { ...planCopy(x!, x!.shape, strides), start };
      start += x!.shape[axis]! * strides[axis]!;
      return plan;
    });
    return { parts };
  },
  run({ parts }, inputs, [out], context) {
    parts.forEach((part, i) => {
      const x = inputs[i]!;
      copyStrided(context, {
        ...part,
        source: x.buffer.address + x.offset * part.bytes,
        target: out!.buffer.address + (out!.offset + part.start) * part.bytes,
      });
    });
  },
};

interface PadPlan extends CopyPlan {
  readonly out: TensorSpec;
  /** Storage value of the padding. */
  readonly value: number;
}

export const padKernel: CpuKernel<PadAttrs, PadPlan> = {
  op: 'pad',
  supports: ({ inputs }) => reachable(inputs[0]!),
  acceptsStrides: () => true,
  prepare({ inputs: [x], outputs: [out], attrs: { before, value } }) {
    const strides = contiguousStrides(out!.shape);
    const start = before.reduce((at, count, axis) => at + count * strides[axis]!, 0);
    const stored = isFloat(out!.dtype)
      ? encodeStorage(out!.dtype, Float32Array.of(value))[0]!
      : value;
    return { ...planCopy(x!, x!.shape, strides), start, out: out!, value: stored };
  },
  run(plan, [x], [out], context) {
    viewBinding(context, plan.out, out!).fill(plan.value);
    copyStrided(context, {
      ...plan,
      source: x!.buffer.address + x!.offset * plan.bytes,
      target: out!.buffer.address + (out!.offset + plan.start) * plan.bytes,
    });
  },
};

interface GatherPlan {
  readonly x: TensorSpec;
  readonly index: TensorSpec;
  readonly rowBytes: number;
  readonly outer: number;
  readonly extent: number;
}

const GRAIN_BYTES = 131_072;

export const gatherKernel: CpuKernel<GatherAttrs, GatherPlan> = {
  op: 'gather',
  supports: () => true,
  prepare({ inputs: [x, index], attrs: { axis } }) {
    const { outer, extent, inner } = splitAtAxis(x!.shape, axis);
    return { x: x!, index: index!, rowBytes: inner * bytesPerElement(x!.dtype), outer, extent };
  },
  run({ x, index, rowBytes, outer, extent }, inputs, [out], context) {
    const count = sizeOf(index.shape);
    const words = [
      ...[addressOf(inputs[0]!, x.dtype), addressOf(inputs[1]!, index.dtype)],
      ...[addressOf(out!, x.dtype), rowBytes, extent, count],
    ];
    context.pool.run(wasm, 'gather', words, outer * count, GRAIN_BYTES / rowBytes);
  },
};
