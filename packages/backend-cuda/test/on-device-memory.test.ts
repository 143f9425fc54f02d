/** Memory, errors and several devices on a CUDA device; reports itself as not run where there is none. */
import {
  add,
  assign,
  assignData,
  concat,
  full,
  gather,
  linear,
  LifetimeError,
  matmul,
  mul,
  OutOfMemoryError,
  recordStep,
  sum,
  type Device,
} from '@pergola/core';
import { createCudaDevice, probeCuda } from '@pergola/backend-cuda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

const { count, reason } = probeCuda();
const GIB = 2 ** 30;

/** Largest difference from the product in f64, relative to the largest element. */
function productError(
  out: Float32Array,
  a: Float32Array,
  b: Float32Array,
  [m, n, k]: readonly [number, number, number],
): number {
  let [worst, largest] = [0, 0];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let exact = 0;
      for (let at = 0; at < k; at++) exact += a[i * k + at]! * b[at * n + j]!;
      worst = Math.max(worst, Math.abs(out[i * n + j]! - exact));
      largest = Math.max(largest, Math.abs(exact));
    }
  }
  return worst / largest;
}

if (count === 0) {
  test.skip(`memory and errors were not tested: ${reason}`);
} else {
  describe('memory of a CUDA device', () => {
    let device: Device;
    beforeAll(async () => {
      device = await createCudaDevice();
    });
    afterAll(() => device.dispose());

    /** More than the device has. */
    const tooMany = (): number => Math.ceil(device.info.memoryBytes! / 4) + 1;
    const works = async (): Promise<void> => {
      using one = device.scalar(1);
      using two = add(one, 1);
      expect(await two.floats()).toEqual(Float32Array.of(2));
    };

    test('a tensor that does not fit is refused with sizes, and work goes on', async () => {
      const allocate = (): unknown => device.backend.allocate(tooMany() * 4);
      expect(allocate).toThrow(OutOfMemoryError);
      expect(allocate).toThrow(
        /^cuda: no room for \d+ bytes \(\d+ in tensors, \d+ pooled, \d+ of \d+ free on the device\)\.$/,
      );
      await works();
    });

    test('a recorded step that does not fit leaves the device as it was', async () => {
      const { storages } = device.memory();
      using x = device.scalar(3);
      expect(() =>
        recordStep(device, () => {
          assign(x, add(x, 1));
          device.backend.allocate(tooMany() * 4);
        }),
      ).toThrow(OutOfMemoryError);
      expect(await x.floats()).toEqual(Float32Array.of(3));
      expect(device.memory().storages).toBe(storages + 1);
      await works();
    });

    test('memory of a recorded step belongs to it alone', async () => {
      const length = 4096;
      using x = full(device, [length], 1);
      using step = recordStep(device, () => mul(add(add(x, 1), 1), 2));
      // Whatever is allocated now must not lie where the step keeps what it is about to compute with.
      const others = Array.from({ length: 64 }, () => full(device, [length], 7));
      step.replay();
      for (const other of others) {
        expect(new Set(await other.floats())).toEqual(new Set([7]));
        other.dispose();
      }
      expect(new Set(await step.result.floats())).toEqual(new Set([6]));
      step.result.dispose();
    });

    test('matrix products in a recorded step are those of its body', async () => {
      const [rows, depth] = [96, 64];
      await device.run(async () => {
        const x = device.tensor(synthInput('x', [rows, depth]), [rows, depth], 'f16');
        const weight = device.tensor(synthInput('w', [depth, depth]), [depth, depth], 'f16');
        const state = device.tensor(synthInput('x', [rows, depth]), [rows, depth], 'f16');
        using step = recordStep(device, () => assign(state, linear(x, weight)));
        step.replay();
        expect(await state.floats()).toEqual(await linear(x, weight).floats());
      });
    });

    test('many uploads of all sizes arrive, however far behind the device is', async () => {
      await device.run(async () => {
        const lengths = [1, 3, 1000, 70_000, 5_000_000, 40_000_000];
        using slow = full(device, [4096, 4096], 1e-3, 'f16');
        device.run(() => Array.from({ length: 20 }, () => matmul(slow, slow)));
        const tensors = Array.from({ length: 300 }, (_, i) => {
          const data = new Uint32Array(lengths[i % (i < 12 ? 6 : 4)]!).fill(i);
          return device.tensor(data, [data.length]);
        });
        for (const [i, tensor] of tensors.entries()) {
          const data = await tensor.data();
          expect([data[0], data.at(-1), data.every((value) => value === i)]).toEqual([i, i, true]);
        }
      });
    });

    test('the same work again and again takes no more memory', async () => {
      const round = (rows: number): Promise<number> =>
        device.run(async () => {
          const x = full(device, [rows, 256], 0.5, 'f16');
          const weight = full(device, [256, 256], 0.01, 'f16');
          const state = full(device, [rows, 256], 0, 'f16');
          using step = recordStep(device, () => assign(state, linear(x, weight)));
          step.replay();
          return (await sum(state).floats())[0]!;
        });
      const held = (): number => device.memory().liveBytes + device.memory().pooledBytes;
      for (let i = 0; i < 20; i++) await round(1000 + i);
      const before = held();
      for (let i = 0; i < 100; i++) await round(1000 + (i % 20));
      expect(held()).toBe(before);
    });

    test('tensors of more than 4 GiB are joined and gathered', async () => {
      // Six of these are live at once; smaller devices join what fits.
      const half = Math.min(GIB / 2 + 8, Math.floor(device.info.memoryBytes! / 48));
      await device.run(async () => {
        const joined = concat([full(device, [1, half], 1), full(device, [1, half], 2)]);
        const ends = async (x: typeof joined, row: number): Promise<number[]> => [
          ...(await x
            .slice(0, row, row + 1)
            .slice(1, 0, 1)
            .floats()),
          ...(await x
            .slice(0, row, row + 1)
            .slice(1, half - 1, half)
            .floats()),
        ];
        expect([await ends(joined, 0), await ends(joined, 1)]).toEqual([
          [1, 1],
          [2, 2],
        ]);
        const turned = gather(joined, device.tensor(Int32Array.of(1, 0), [2]));
        expect([await ends(turned, 0), await ends(turned, 1)]).toEqual([
          [2, 2],
          [1, 1],
        ]);
      });
    });

    test('f32 products are of full precision, and of TF32 on request', async () => {
      const shape = [64, 48, 512] as const;
      const [m, n, k] = shape;
      const [a, b] = [synthInput('a', [m, k]), synthInput('b', [k, n])];
      const errorOn = (on: Device): Promise<number> =>
        on.run(async () => {
          const out = matmul(on.tensor(a, [m, k]), on.tensor(b, [k, n]));
          return productError(await out.floats(), a, b, shape);
        });
      using coarse = await createCudaDevice({ tf32: true });
      expect(await errorOn(device)).toBeLessThan(2e-6);
      const rough = await errorOn(coarse);
      expect(rough).toBeLessThan(2e-3);
      expect(rough).toBeGreaterThan(2e-6);
    });

    test('devices live side by side', async () => {
      using other = await createCudaDevice({ ordinal: count - 1 });
      for (const on of [other, device, other]) {
        using x = full(on, [300, 64], 0.5, 'f16');
        using weight = full(on, [128, 64], 0.25, 'f16');
        using out = linear(x, weight);
        expect(new Set(await out.floats())).toEqual(new Set([8]));
      }
    });

    test('a device may go while a step lives and a download is under way', async () => {
      const other = await createCudaDevice();
      const x = full(other, [1 << 22], 3);
      const step = recordStep(other, () => assign(x, add(x, 1)));
      step.replay();
      const download = x.floats();
      other.dispose();
      expect(new Set(await download)).toEqual(new Set([5]));
      expect(() => other.backend.allocate(4)).toThrow(LifetimeError);
      step.dispose();
      expect(() => step.replay()).toThrow('disposed');
      await works();
    });

    test('a development device computes the same', async () => {
      using careful = await createCudaDevice({ development: true });
      using x = careful.tensor([1, 2, 3], [3]);
      using step = recordStep(careful, () => assign(x, add(x, 1)));
      assignData(x, [4, 5, 6]);
      step.replay();
      expect(await x.floats()).toEqual(Float32Array.of(5, 6, 7));
    });
  });
}
