/** Strategies and recorded steps on a CUDA device; reports itself as not run where there is none. */
import {
  add,
  assign,
  assignData,
  attentionOp,
  execute,
  mul,
  recordStep,
  type Device,
  type Tensor,
} from '@pergola/core';
import { sparseConv3dOp } from '@pergola/sparse';
import { createCudaDevice, probeCuda } from '@pergola/backend-cuda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

const { count, reason } = probeCuda();
// Sums are f32 in every strategy; what differs is the rounding of the weights and results to half precision.
const TOLERANCE = { f16: 1e-3, bf16: 8e-3 } as const;

function relativeError(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

if (count === 0) {
  test.skip(`strategies and recorded steps were not run: ${reason}`);
} else {
  describe('on a CUDA device', () => {
    let device: Device;
    beforeAll(async () => {
      device = await createCudaDevice();
    });
    afterAll(() => device.dispose());

    /** `mma`, and the strategies of Hopper where the device is one. */
    const strategies = (...hopper: string[]): string[] =>
      device.info.features.includes('wgmma') ? ['mma', ...hopper] : ['mma'];
    const half = (name: string, shape: number[], dtype: 'f16' | 'bf16'): Tensor =>
      device.tensor(synthInput(name, shape), shape, dtype);

    describe.each(['f16', 'bf16'] as const)('%s', (dtype) => {
      test.each([
        [64, false, [0, 5, 5, 140, 300], [0, 70, 75, 75, 300]],
        [64, true, [0, 300], [0, 300]],
        [16, false, [0, 77], [0, 33]],
        [40, false, [0, 64, 129], [0, 64, 65]],
        [80, true, [0, 200], [0, 131]],
        [96, false, [0, 65], [0, 257]],
        [128, false, [0, 1, 130], [0, 129, 200]],
        [64, false, [0, 513], [0, 1030]],
        [64, true, [0, 127, 1000], [0, 127, 1000]],
        [80, false, [0, 128, 256], [0, 640, 640]],
        [32, false, [0, 1], [0, 129]],
      ])('attention, head %i, causal %s', async (dim, causal, q, k) => {
        const out = await device.run(async () => {
          const [rows, keys] = [q.at(-1)!, k.at(-1)!];
          const kv = half('kv', [keys, 2, 3, dim], dtype).unbind(1);
          const offsets = [q, k].map((list) => device.tensor(Int32Array.from(list), [list.length]));
          const inputs = [half('q', [rows, 3, dim], dtype), ...kv, ...offsets];
          const longest = (list: number[]): number =>
            Math.max(...list.slice(1).map((end, i) => end - list[i]!));
          const attrs = { maxQ: longest(q), maxK: longest(k), causal, scale: dim ** -0.5 };
          const run = (strategy: string): Promise<Float32Array> =>
            execute(attentionOp, inputs, attrs, strategy)[0]!.floats();
          return {
            scalar: await run('scalar'),
            others: await Promise.all(['tiled', ...strategies('wgmma', 'pipelined')].map(run)),
          };
        });
        for (const other of out.others) {
          expect(relativeError(other, out.scalar)).toBeLessThan(TOLERANCE[dtype]);
        }
      });

      test.each([
        [1000, 700, 27, 96, 96, 0],
        [515, 300, 1, 32, 40, 0],
        [300, 200, 8, 64, 130, 0],
        [700, 900, 27, 128, 256, 0],
        [260, 260, 27, 192, 32, 0],
        [129, 64, 27, 64, 512, 0],
        [33, 40, 27, 64, 192, 0],
        [128, 128, 27, 96, 128, 0],
        [1, 1, 27, 128, 96, 0],
        [2000, 1999, 27, 192, 192, 0],
        // All present.
        [600, 4000, 27, 64, 96, -2],
        [40_000, 300, 27, 64, 64, -2],
      ])(
        'sparseConv3d, %i rows of %i, %i taps, %i to %i',
        async (rows, xRows, taps, cin, cout, least) => {
          const out = await device.run(async () => {
            const side = Math.round(Math.cbrt(taps));
            const chance = synthInput('map', rows * taps);
            const map = Int32Array.from(chance, (value, i) =>
              value > least ? (i * 7919) % xRows : -1,
            );
            const inputs = [
              half('x', [xRows, cin], dtype),
              mul(half('w', [cout, side, side, side, cin], dtype), 0.1),
              half('b', [cout], dtype),
              device.tensor(map, [rows, taps]),
            ];
            const run = (strategy: string): Promise<Float32Array> =>
              execute(sparseConv3dOp, inputs, {}, strategy)[0]!.floats();
            return {
              scalar: await run('scalar'),
              others: await Promise.all(strategies('wgmma', 'split').map(run)),
            };
          });
          for (const other of out.others) {
            expect(relativeError(other, out.scalar)).toBeLessThan(TOLERANCE[dtype]);
          }
        },
      );
    });

    test('a recorded step replays its work and its uploads; its result outlives it', async () => {
      const before = device.memory().storages;
      {
        using x = device.tensor([1, 2, 3], [3]);
        using factor = device.scalar(10);
        using step = recordStep(device, () => {
          const next = add(mul(x, factor), device.tensor([1, 1, 1], [3]));
          assign(x, next);
          return next;
        });
        expect(step.commands).toBeGreaterThan(3);
        expect(await x.floats()).toEqual(Float32Array.of(11, 21, 31));
        assignData(factor, [2]);
        step.replay();
        expect(await x.floats()).toEqual(Float32Array.of(23, 43, 63));
        step.replay();
        step.dispose();
        expect(await step.result.floats()).toEqual(Float32Array.of(47, 87, 127));
        step.result.dispose();
      }
      expect(() => recordStep(device, () => device.scalar(1).data())).toThrow('body must be');
      expect(() =>
        recordStep(device, () => {
          throw new Error('no');
        }),
      ).toThrow('no');
      using after = add(device.scalar(1).keep(), 1);
      expect(await after.floats()).toEqual(Float32Array.of(2));
      expect(device.memory().storages).toBeGreaterThanOrEqual(before);
    });
  });
}
