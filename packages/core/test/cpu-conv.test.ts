import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { conv2d, conv3d, createCpuDevice, type Device } from '@pergola/core';
import { expectClose, expectSameBits, randomFloats, runsInKernel } from './cpu-support.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

interface Case {
  /** `[B, Cin, X, Y, Z]`, or `[B, Cin, H, W]`. */
  readonly x: number[];
  readonly units: number;
  readonly kernel: number[];
  readonly stride?: number[];
  readonly padding?: number[];
  readonly dilation?: number[];
  readonly groups?: number;
  readonly bias?: boolean;
}

const CASES: Record<string, Case> = {
  'one element': { x: [1, 1, 1, 1], units: 1, kernel: [1, 1] },
  '1 x 1': { x: [2, 17, 5, 7], units: 9, kernel: [1, 1], bias: true },
  '3 x 3': { x: [1, 5, 19, 23], units: 13, kernel: [3, 3], padding: [1, 1], bias: true },
  '3 x 3, many channels': { x: [1, 70, 9, 11], units: 33, kernel: [3, 3], padding: [1, 1] },
  patches: { x: [2, 3, 28, 42], units: 20, kernel: [14, 14], stride: [14, 14], bias: true },
  'uneven everything': {
    x: [2, 6, 17, 31],
    units: 10,
    kernel: [2, 5],
    stride: [3, 2],
    padding: [1, 4],
    dilation: [2, 3],
    bias: true,
  },
  groups: { x: [2, 12, 9, 10], units: 18, kernel: [3, 3], padding: [1, 1], groups: 3, bias: true },
  depthwise: { x: [1, 9, 12, 8], units: 9, kernel: [3, 3], padding: [1, 1], groups: 9 },
  'more output channels than a table': { x: [1, 4, 3, 5], units: 250, kernel: [1, 1], bias: true },
  volume: { x: [1, 8, 7, 9, 16], units: 12, kernel: [3, 3, 3], padding: [1, 1, 1], bias: true },
  'volume, strided': {
    x: [2, 30, 6, 5, 9],
    units: 5,
    kernel: [3, 2, 1],
    stride: [2, 1, 3],
    padding: [1, 0, 2],
    dilation: [1, 2, 1],
  },
};

/** An image is a volume one voxel deep. */
function lift(values: readonly number[] | undefined, axes: number, lead: number): number[] {
  const given = values ?? new Array<number>(axes).fill(lead);
  return given.length === 2 ? [lead, ...given] : [...given];
}

/** Convolution by its definition, in double precision, channels first. */
function convolve(given: Case, x: Float32Array, weight: Float32Array, bias: Float32Array) {
  const { units, groups = 1 } = given;
  const axes = given.kernel.length;
  const [batch, channels] = given.x as [number, number];
  const extents = lift(given.x.slice(2), axes, 1);
  const kernel = lift(given.kernel, axes, 1);
  const stride = lift(given.stride, axes, 1);
  const padding = lift(given.padding ?? new Array<number>(axes).fill(0), axes, 0);
  const dilation = lift(given.dilation, axes, 1);
  const size = extents.map((extent, i) => {
    const room = extent + 2 * padding[i]! - dilation[i]! * (kernel[i]! - 1) - 1;
    return Math.floor(room / stride[i]!) + 1;
  });
  const [inner, voxels] = [channels / groups, extents[0]! * extents[1]! * extents[2]!];
  const taps = kernel[0]! * kernel[1]! * kernel[2]!;
  const positions = size[0]! * size[1]! * size[2]!;
  const out = new Float64Array(batch * units * positions);
  for (let position = 0; position < positions; position++) {
    const at = [
      Math.floor(position / (size[1]! * size[2]!)),
      Math.floor(position / size[2]!) % size[1]!,
      position % size[2]!,
    ];
    for (let tap = 0; tap < taps; tap++) {
      const t = [
        Math.floor(tap / (kernel[1]! * kernel[2]!)),
        Math.floor(tap / kernel[2]!) % kernel[1]!,
        tap % kernel[2]!,
      ];
      const from = at.map((o, i) => o * stride[i]! - padding[i]! + t[i]! * dilation[i]!);
      if (from.some((f, i) => f < 0 || f >= extents[i]!)) continue;
      const voxel = (from[0]! * extents[1]! + from[1]!) * extents[2]! + from[2]!;
      for (let b = 0; b < batch; b++) {
        for (let u = 0; u < units; u++) {
          const first = b * channels + Math.floor(u / (units / groups)) * inner;
          let sum = 0;
          for (let c = 0; c < inner; c++) {
            sum += x[(first + c) * voxels + voxel]! * weight[(u * inner + c) * taps + tap]!;
          }
          out[(b * units + u) * positions + position]! += sum;
        }
      }
    }
  }
  if (given.bias === true) {
    for (let i = 0; i < out.length; i++) out[i]! += bias[Math.floor(i / positions) % units]!;
  }
  return { out, size: axes === 2 ? size.slice(1) : size, terms: inner * taps };
}

async function run(on: Device, given: Case, layout: 'channelsFirst' | 'channelsLast') {
  const { units, kernel, groups = 1 } = given;
  const axes = kernel.length;
  const weightShape = [units, given.x[1]! / groups, ...kernel];
  const xs = randomFloats(given.x, 1);
  const ws = randomFloats(weightShape, 2);
  const bs = randomFloats([units], 3);
  const expected = convolve(given, xs, ws, bs);
  const spatial = kernel.map((_, i) => i + 2);
  const planes = on.tensor(xs, given.x);
  const x = layout === 'channelsFirst' ? planes : planes.permute(0, ...spatial, 1).toContiguous();
  const bias = given.bias === true ? on.tensor(bs, [units]) : undefined;
  const { stride = 1, padding = 0, dilation = 1 } = given;
  const options = { stride, padding, dilation, groups, layout };
  const weight = on.tensor(ws, weightShape);
  const conv = axes === 2 ? conv2d : conv3d;
  const y = runsInKernel(on, () => conv(x, weight, bias, options));
  const back =
    layout === 'channelsFirst' ? y : y.permute(0, axes + 1, ...spatial.map((axis) => axis - 1));
  expect(back.shape).toEqual([given.x[0], units, ...expected.size]);
  return { actual: await back.floats(), expected: expected.out, terms: expected.terms };
}

describe.each(['channelsFirst', 'channelsLast'] as const)('%s', (layout) => {
  for (const [name, given] of Object.entries(CASES)) {
    test(name, async () => {
      const { actual, expected, terms } = await run(device, given, layout);
      expectClose(actual, expected, 2e-6 * Math.sqrt(terms));
    });
  }

  test('one and two threads give the same bits', async () => {
    using single = await createCpuDevice({ threads: 1 });
    const given = { x: [1, 40, 8, 9, 10], units: 30, kernel: [3, 3, 3], padding: [1, 1, 1] };
    const first = await run(single, given, layout);
    const second = await run(device, given, layout);
    expectSameBits(second.actual, first.actual);
  });
});
