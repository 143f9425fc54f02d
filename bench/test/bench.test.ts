import { expect, test } from 'vitest';
import { encodeOnnxModel } from '../src/onnx-model.ts';
import { runWorkload } from '../src/runner.ts';
import { formatTimings } from '../src/report.ts';
import { voxelShell } from '../src/voxel-shell.ts';

test('the shell has the documented size, is ascending and repeats by seed', () => {
  for (const seed of [1, 2, 7]) {
    const coords = voxelShell(seed);
    expect(coords.length / 4).toBeGreaterThanOrEqual(20_000);
    expect(coords.length / 4).toBeLessThanOrEqual(22_000);
    const codes = Array.from({ length: coords.length / 4 }, (_, row) => {
      return (coords[row * 4 + 1]! * 64 + coords[row * 4 + 2]!) * 64 + coords[row * 4 + 3]!;
    });
    expect(codes.every((code, i) => i === 0 || code > codes[i - 1]!)).toBe(true);
    expect(voxelShell(seed)).toEqual(coords);
  }
});

test('the runner samples every contender, frees it, and reports rates of the fastest sample', async () => {
  let runs = 0;
  let disposed = 0;
  const timings = await runWorkload(
    {
      name: 'nothing',
      flops: 1e6,
      contenders: () =>
        Promise.resolve([
          {
            name: 'idle',
            run: () => {
              runs++;
              return Promise.resolve();
            },
            dispose: () => {
              disposed++;
            },
          },
        ]),
    },
    { maxSeconds: 0.02, minSamples: 3 },
  );
  const [timing] = timings;
  expect(timing!.samples).toBeGreaterThanOrEqual(3);
  expect(runs).toBeGreaterThan(timing!.samples);
  expect(disposed).toBe(1);
  expect(timing!.peakGflops).toBeCloseTo(1e-3 / timing!.minSeconds, 6);
  expect(formatTimings(timings)).toContain('idle');
});

test('a failing contender rejects and is still freed', async () => {
  let disposed = false;
  const workload = {
    name: 'broken',
    flops: 1,
    contenders: () =>
      Promise.resolve([
        {
          name: 'broken',
          run: () => Promise.reject(new Error('no luck')),
          dispose: () => {
            disposed = true;
          },
        },
      ]),
  };
  await expect(runWorkload(workload)).rejects.toThrow('no luck');
  expect(disposed).toBe(true);
});

test('ONNX Runtime accepts an encoded model and multiplies', async () => {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  const model = encodeOnnxModel(
    [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] }],
    [
      { name: 'a', shape: [1, 2] },
      { name: 'b', shape: [2, 1] },
    ],
    [{ name: 'c', shape: [1, 1] }],
  );
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  const { c } = await session.run({
    a: new ort.Tensor('float32', Float32Array.of(2, 3), [1, 2]),
    b: new ort.Tensor('float32', Float32Array.of(5, 7), [2, 1]),
  });
  expect(c!.data).toEqual(Float32Array.of(31));
  await session.release();
});
