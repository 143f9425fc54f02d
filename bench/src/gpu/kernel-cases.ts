/** Single kernels: products, attention, submanifold convolution and kernel maps, at the sizes of the published networks. */
import { attention, cast, gather, matmul, type Device, type Tensor } from '@pergola/core';
import { buildHash, neighborMap, SparseStructure, submConv3d } from '@pergola/sparse';
import { fillUniform } from '../contenders.ts';
import { voxelShell } from '../voxel-shell.ts';
import type { GpuCase } from './case.ts';
import type { FigureName } from './figures.ts';

// Rows of random data that larger tensors repeat: uploading hundreds of megabytes would only cost time.
const PATTERN_ROWS = 4096;
const HEADS = 16;
const TOKENS = 4096;

/** f16 `[rows, width]` of about unit variance, scaled. */
function randomRows(device: Device, rows: number, width: number, scale = 1.7): Tensor {
  return device.run(() => {
    const stored = Math.min(rows, PATTERN_ROWS);
    const values = fillUniform(stored * width).map((value) => value * scale);
    const pattern = cast(device.tensor(values, [stored, width]), 'f16');
    if (stored === rows) return pattern;
    const index = Int32Array.from({ length: rows }, (_, row) => row % stored);
    return gather(pattern, device.tensor(index, [rows]));
  });
}

function matmulCase(figure: FigureName, rows: number, depth: number, columns: number): GpuCase {
  return {
    figure,
    detail: 'f16',
    prepare: (device) => {
      const a = randomRows(device, rows, depth);
      const b = randomRows(device, depth, columns);
      return Promise.resolve({
        repeats: 10,
        flops: 2 * rows * depth * columns,
        run: () => matmul(a, b),
        dispose: () => [a, b].forEach((tensor) => tensor.dispose()),
      });
    },
  };
}

function attentionCase(figure: FigureName, dim: number): GpuCase {
  return {
    figure,
    detail: `${HEADS} x ${TOKENS} x ${TOKENS}, head ${dim}`,
    prepare: (device) => {
      const heads = [0, 1, 2].map(() =>
        randomRows(device, TOKENS, HEADS * dim).reshape(TOKENS, HEADS, dim),
      );
      const [q, k, v] = heads as [Tensor, Tensor, Tensor];
      const offsets = device.tensor(Int32Array.of(0, TOKENS), [2]);
      const lengths = { offsetsQ: offsets, offsetsK: offsets, maxQ: TOKENS, maxK: TOKENS };
      return Promise.resolve({
        repeats: 10,
        flops: 4 * HEADS * TOKENS * TOKENS * dim,
        run: () => attention(q, k, v, lengths),
        dispose: () => [q, k, v, offsets].forEach((tensor) => tensor.dispose()),
      });
    },
  };
}

/** The shell, its voxels split into eight `levels` times. The caller frees all of them by the first. */
async function subdividedShell(device: Device, levels: number): Promise<SparseStructure[]> {
  const coords = voxelShell();
  using tensor = device.tensor(coords, [coords.length / 4, 4]);
  const chain = [await SparseStructure.create(tensor)];
  for (let level = 0; level < levels; level++) {
    chain.push(await chain[chain.length - 1]!.subdivide());
  }
  return chain;
}

function convCase(figure: FigureName, levels: number, channels: number): GpuCase {
  return {
    figure,
    detail: `shell subdivided ${levels} times, ${channels} to ${channels} channels`,
    async prepare(device) {
      const chain = await subdividedShell(device, levels);
      const finest = chain[chain.length - 1]!;
      const map = await finest.kernelMap({ kernelSize: 3 });
      // Pairs of voxels that meet: what an implementation that skips every absent one multiplies.
      const rows = (await map.map.values()) as Int32Array;
      const pairs = rows.reduce((sum, row) => sum + Number(row >= 0), 0);
      const x = randomRows(device, finest.count, channels);
      const weight = randomRows(device, channels, 27 * channels, 0.05);
      const kernel = weight.reshape(channels, 3, 3, 3, channels);
      return {
        repeats: 5,
        flops: 2 * pairs * channels * channels,
        run: () => submConv3d(x, kernel, undefined, map),
        dispose: () => [x, weight, kernel, chain[0]!].forEach((resource) => resource.dispose()),
      };
    },
  };
}

const kernelMapCase: GpuCase = {
  figure: 'kernel map',
  detail: 'hash and 3^3 map, shell subdivided twice',
  async prepare(device) {
    const chain = await subdividedShell(device, 2);
    const { coords } = chain[2]!;
    return {
      repeats: 3,
      run: () => neighborMap(coords, buildHash(coords), { kernelSize: 3 }),
      dispose: () => chain[0]!.dispose(),
    };
  },
};

export const KERNEL_CASES: readonly GpuCase[] = [
  matmulCase('matmul 4096 x 1024 x 4096', 4096, 1024, 4096),
  matmulCase('matmul 8192^3', 8192, 8192, 8192),
  attentionCase('attention h64', 64),
  attentionCase('attention h80', 80),
  convCase('subm conv 128', 0, 128),
  convCase('subm conv 1024', 0, 1024),
  convCase('subm conv 192', 1, 192),
  convCase('subm conv 96', 2, 96),
  kernelMapCase,
];
