/** `conv2d` and `conv3d` in f32 as implicit matrix products, in both layouts, with any stride, dilation and groups. */
import type { KernelCall } from '../../backend.ts';
import type { ConvAttrs } from '../../ops/conv.ts';
import { triple, volumeWalk } from '../../ops/volume-walk.ts';
import { addressOf, onlyF32, withTemporary, type CpuContext, type CpuKernel } from '../context.ts';
import { blockDepth, packedBytes, packMatrices } from '../gemm.ts';
import { wasm } from '../wasm/conv.generated.ts';

interface ConvPlan {
  /** Extents, output extents, kernel, stride, padding and dilation, three words each. */
  readonly geometry: readonly number[];
  readonly layout: ConvAttrs['layout'];
  readonly batch: number;
  readonly groups: number;
  /** Of x, and of x within a group. */
  readonly channels: number;
  readonly groupChannels: number;
  /** Channels of the output, and of it within a group. */
  readonly outChannels: number;
  readonly units: number;
  readonly taps: number;
  readonly positions: number;
}

interface ConvAddresses {
  readonly x: number;
  readonly weight: number;
  readonly bias: number;
  readonly out: number;
}

const GRAIN_FLOPS = 1_000_000;
// Channels last: positions of a block are rows of A (at most 240, a bound of the job).
const BLOCK_ROWS = 192;
const SMALLEST_ROWS = 24;
const BLOCK_UNITS = 128;
// Channels first: positions of a block are columns of B, packed by the thread for all output channels.
const BLOCK_POSITIONS = 96;
const SMALLEST_POSITIONS = 24;
// Depth of a packed patch, rounded to whole channels, and what the thread's scratch memory holds of it.
const PATCH_DEPTH = 256;
const PATCH_BYTES = 480 * 1024;

function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1);
}

/** Halves a block until every thread gets several items. */
function shrink(
  start: number,
  least: number,
  items: (size: number) => number,
  threads: number,
): number {
  let size = start;
  while (size / 2 >= least && items(size) < 8 * threads) size /= 2;
  return size;
}

function runLast(plan: ConvPlan, at: ConvAddresses, context: CpuContext): void {
  const { geometry, batch, groups, channels, groupChannels, outChannels, units } = plan;
  const { taps, positions } = plan;
  const tapBytes = packedBytes(groupChannels, units);
  const groupBytes = tapBytes * taps;
  withTemporary(context, groupBytes * groups, (packed) => {
    // weight [unit, channel, tap]: the matrix of a tap has strides of taps (depth) and channels * taps (columns).
    const weightBytes = groupChannels * taps * units * 4;
    const sources = Array.from({ length: groups * taps }, (_, i) => {
      return at.weight + Math.floor(i / taps) * weightBytes + (i % taps) * 4;
    });
    const bStrides = [taps, groupChannels * taps] as const;
    packMatrices(context, sources, { depth: groupChannels, columns: units, bStrides }, packed);
    const blocks = batch * groups * Math.ceil(units / BLOCK_UNITS);
    const items = (rows: number): number => blocks * Math.ceil(positions / rows);
    const rows = shrink(BLOCK_ROWS, SMALLEST_ROWS, items, context.pool.threads);
    const words = [
      ...geometry,
      ...[at.x, channels, groupChannels, packed, tapBytes, groupBytes, at.out, outChannels, units],
      ...[positions, groups, rows, BLOCK_UNITS, blockDepth(groupChannels), at.bias],
    ];
    const flops = 2 * rows * Math.min(units, BLOCK_UNITS) * groupChannels * taps;
    context.pool.run(wasm, 'convLast', words, items(rows), GRAIN_FLOPS / flops);
  });
}

/** Input channels whose patch is about `PATCH_DEPTH` deep. */
function patchChannels(channels: number, taps: number): number {
  return Math.ceil(channels / Math.ceil((channels * taps) / Math.max(taps, PATCH_DEPTH)));
}

function runFirst(plan: ConvPlan, at: ConvAddresses, context: CpuContext): void {
  const { geometry, batch, groups, channels, groupChannels, outChannels, units } = plan;
  const { taps, positions } = plan;
  const items = (columns: number): number => batch * groups * Math.ceil(positions / columns);
  const columns = shrink(BLOCK_POSITIONS, SMALLEST_POSITIONS, items, context.pool.threads);
  const words = [
    ...geometry,
    ...[at.x, channels, groupChannels, at.weight, at.out, outChannels, units, positions, groups],
    ...[columns, patchChannels(groupChannels, taps), at.bias],
  ];
  const flops = 2 * columns * units * groupChannels * taps;
  context.pool.run(wasm, 'convFirst', words, items(columns), GRAIN_FLOPS / flops);
}

function supportsConv({ inputs, attrs }: KernelCall<ConvAttrs>): true | string {
  const [, groupChannels, ...kernel] = inputs[1]!.shape as [number, number, ...number[]];
  if (groupChannels === 0) return 'it sums nothing';
  const patch = patchChannels(groupChannels, product(kernel)) * product(kernel);
  if (attrs.layout === 'channelsFirst' && patch * BLOCK_POSITIONS * 4 > PATCH_BYTES) {
    return `a kernel of ${product(kernel)} taps does not fit its patch`;
  }
  return onlyF32(inputs);
}

function convKernel(op: 'conv2d' | 'conv3d'): CpuKernel<ConvAttrs, ConvPlan> {
  return {
    op,
    supports: supportsConv,
    prepare({ inputs: [x, weight], outputs: [out], attrs }) {
      const { layout, groups } = attrs;
      const from = volumeWalk(x!.shape, layout);
      const to = volumeWalk(out!.shape, layout);
      const [outChannels, groupChannels, ...kernel] = weight!.shape as [
        number,
        number,
        ...number[],
      ];
      return {
        geometry: [
          ...[...from.extents, ...to.extents, ...triple(kernel, 1), ...triple(attrs.stride, 1)],
          ...[...triple(attrs.padding, 0), ...triple(attrs.dilation, 1)],
        ],
        layout,
        batch: x!.shape[0]!,
        groups,
        channels: groupChannels * groups,
        groupChannels,
        outChannels,
        units: outChannels / groups,
        taps: product(kernel),
        positions: product(to.extents),
      };
    },
    run(plan, [x, weight, bias], [out], context) {
      const addresses = {
        x: addressOf(x!, 'f32'),
        weight: addressOf(weight!, 'f32'),
        bias: bias === undefined ? 0 : addressOf(bias, 'f32'),
        out: addressOf(out!, 'f32'),
      };
      if (plan.layout === 'channelsLast') runLast(plan, addresses, context);
      else runFirst(plan, addresses, context);
    },
  };
}

export const conv2dKernel: CpuKernel<ConvAttrs, ConvPlan> = convKernel('conv2d');

export const conv3dKernel: CpuKernel<ConvAttrs, ConvPlan> = convKernel('conv3d');
