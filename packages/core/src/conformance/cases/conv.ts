/** Cases of dense convolution. */
import { conv2dOp, conv3dOp, type ConvAttrs } from '../../ops/conv.ts';
import type { Op } from '../../op.ts';
import type { Shape } from '../../shape.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  floats,
  type ConformanceCase,
  type Tolerances,
  type ViewKind,
} from '../case.ts';

const CONVOLUTION: Tolerances = { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-10, maxAbs: 5e-5 } };
const WEIGHT = { kind: 'normal', scale: 0.2 } as const;

interface Setup {
  readonly batch?: number;
  readonly channels: number;
  readonly extents: Shape;
  readonly units: number;
  readonly kernel: Shape;
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly view?: ViewKind;
}

/** One case for each layout. */
function both(op: Op<ConvAttrs>, name: string, setup: Setup): ConformanceCase[] {
  const { batch = 2, channels, extents, units, kernel, groups = 1, bias = true, view } = setup;
  const each = (value: number): number[] => extents.map(() => value);
  return (['channelsFirst', 'channelsLast'] as const).map((layout) => {
    const first = layout === 'channelsFirst';
    const shape = first ? [batch, channels, ...extents] : [batch, ...extents, channels];
    const inputs = [
      floats(shape, undefined, view),
      floats([units, channels / groups, ...kernel], WEIGHT),
      bias ? floats([units]) : undefined,
    ];
    const attrs: ConvAttrs = {
      stride: each(setup.stride ?? 1),
      padding: each(setup.padding ?? 0),
      dilation: each(setup.dilation ?? 1),
      groups,
      layout,
    };
    const tolerance = CONVOLUTION;
    return conformanceCase(op, `${name}, ${layout}`, inputs, attrs, { tolerance });
  });
}

function plane(name: string, setup: Setup): ConformanceCase[] {
  return both(conv2dOp, name, setup);
}

function planeCases(): ConformanceCase[] {
  const small = { channels: 3, extents: [7, 9], units: 5, kernel: [3, 3] };
  return [
    ...plane('plain', { ...small, padding: 1 }),
    ...plane('no padding, no bias', { ...small, bias: false }),
    ...plane('pointwise', { channels: 6, extents: [5, 4], units: 7, kernel: [1, 1] }),
    ...plane('patches', { channels: 3, extents: [14, 21], units: 8, kernel: [7, 7], stride: 7 }),
    ...plane('stride 2', { ...small, stride: 2, padding: 1 }),
    ...plane('dilation 2', { ...small, dilation: 2, padding: 2 }),
    ...plane('groups', { ...small, channels: 6, units: 4, groups: 2, padding: 1 }),
    ...plane('depthwise', { ...small, channels: 5, units: 5, groups: 5, padding: 1 }),
    ...plane('oblong kernel', { ...small, kernel: [1, 4] }),
    ...plane('kernel as large as the image', { ...small, kernel: [7, 9] }),
    ...plane('wide padding', { ...small, padding: 4 }),
    ...plane('no batch', { ...small, batch: 0 }),
    ...plane('one of each', { batch: 1, channels: 1, extents: [1, 1], units: 1, kernel: [1, 1] }),
    ...plane('sliced', { ...small, padding: 1, view: 'sliced' }),
    ...plane('transposed', { ...small, padding: 1, view: 'transposed' }),
    ...plane('few units', { channels: 36, extents: [9, 21], units: 3, kernel: [3, 3], padding: 1 }),
    ...plane('large', {
      batch: 1,
      channels: 17,
      extents: [19, 18],
      units: 33,
      kernel: [3, 3],
      padding: 1,
    }),
  ];
}

function volume(name: string, setup: Setup): ConformanceCase[] {
  return both(conv3dOp, name, setup);
}

function volumeCases(): ConformanceCase[] {
  const small = { channels: 3, extents: [4, 5, 6], units: 4, kernel: [3, 3, 3] };
  return [
    ...volume('plain', { ...small, padding: 1 }),
    ...volume('no padding, no bias', { ...small, bias: false }),
    ...volume('pointwise', { channels: 6, extents: [3, 4, 2], units: 7, kernel: [1, 1, 1] }),
    ...volume('stride 2', { ...small, stride: 2, padding: 1 }),
    ...volume('dilation 2', { ...small, dilation: 2, padding: 2 }),
    ...volume('groups', { ...small, channels: 4, groups: 2, padding: 1 }),
    ...volume('oblong kernel', { ...small, kernel: [1, 3, 2] }),
    ...volume('even kernel', { ...small, kernel: [2, 2, 2], stride: 2 }),
    ...volume('no batch', { ...small, batch: 0 }),
    ...volume('sliced', { ...small, padding: 1, view: 'sliced' }),
    ...[1, 2, 4].flatMap((units) =>
      volume(`${units} units`, {
        channels: 32,
        extents: [5, 6, 11],
        units,
        kernel: [3, 3, 3],
        padding: 1,
      }),
    ),
    ...volume('large', {
      batch: 1,
      channels: 16,
      extents: [7, 8, 9],
      units: 17,
      kernel: [3, 3, 3],
      padding: 1,
    }),
  ];
}

/** Cases of the family `conv`. */
export function convCases(): ConformanceCase[] {
  return [...planeCases(), ...volumeCases()];
}
