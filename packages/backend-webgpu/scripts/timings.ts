/** Timings of the compute-bound ops at the sizes of full models, through the ordinary op path. */
import {
  attention,
  conv3d,
  linear,
  matmul,
  type Activation,
  type Device,
  type DType,
  type Tensor,
} from '@pergola/core';
import { profileDispatches } from '../src/timing.ts';

/** A call worth timing. */
interface Workload {
  readonly name: string;
  readonly flops: number;
  /** Makes the inputs; the returned function enqueues the call. */
  prepare(device: Device): () => Tensor;
}

/** Times of one workload. */
export interface Timing {
  readonly name: string;
  /** Per call, many calls enqueued in a row. */
  readonly milliseconds: number;
  /** On the device, all dispatches of a call. */
  readonly deviceMilliseconds: number | undefined;
  readonly teraflops: number;
}

const BLOCK = 1 << 20;
// Bit patterns of f16 numbers between -1 and 1, and the same numbers.
const half = new Uint16Array(BLOCK);
const single = new Float32Array(BLOCK);
let state = 12345;
for (let i = 0; i < BLOCK; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const mantissa = (state >>> 16) & 0x3ff;
  const exponent = 8 + ((state >>> 26) % 7);
  const sign = state >>> 31;
  half[i] = (sign << 15) | (exponent << 10) | mantissa;
  single[i] = (sign === 1 ? -1 : 1) * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

function random(device: Device, shape: readonly number[], dtype: DType): Tensor {
  const size = shape.reduce((product, extent) => product * extent, 1);
  const block = dtype === 'f16' ? half : single;
  const data = dtype === 'f16' ? new Uint16Array(size) : new Float32Array(size);
  // Blocks of different lengths, so that rows differ.
  for (let at = 0, turn = 0; at < size; turn++) {
    const length = Math.min(BLOCK - 977 * (turn % 7), size - at);
    data.set(block.subarray(0, length), at);
    at += length;
  }
  return device.tensor(data, shape, dtype);
}

export function linearCall(
  m: number,
  k: number,
  n: number,
  dtype: DType = 'f16',
  activation: Activation = 'none',
): Workload {
  return {
    name: `linear ${dtype} [${m}, ${k}] -> ${n}${activation === 'none' ? '' : ` ${activation}`}`,
    flops: 2 * m * k * n,
    prepare(device) {
      const x = random(device, [m, k], dtype);
      const weight = random(device, [n, k], dtype);
      const bias = random(device, [n], dtype);
      return () => linear(x, weight, bias, { activation });
    },
  };
}

function matmulCall(m: number, k: number, n: number, dtype: DType = 'f16'): Workload {
  return {
    name: `matmul ${dtype} [${m}, ${k}] x [${k}, ${n}]`,
    flops: 2 * m * k * n,
    prepare(device) {
      const a = random(device, [m, k], dtype);
      const b = random(device, [k, n], dtype);
      return () => matmul(a, b);
    },
  };
}

/** Ascending offsets of sequences of these lengths. */
function offsetsOf(lengths: readonly number[]): Int32Array {
  const all = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => (all[i + 1] = all[i]! + length));
  return all;
}

export function attentionCall(
  name: string,
  heads: number,
  depth: number,
  queries: readonly number[],
  keys: readonly number[] = queries,
  dtype: DType = 'f16',
): Workload {
  const pairs = queries.reduce((sum, length, i) => sum + length * keys[i]!, 0);
  return {
    name: `attention ${dtype} ${name}, ${heads} heads of ${depth}`,
    flops: 4 * heads * depth * pairs,
    prepare(device) {
      const [rowsQ, rowsK] = [offsetsOf(queries), offsetsOf(keys)];
      const q = random(device, [rowsQ.at(-1)!, heads, depth], dtype);
      const [k, v] = random(device, [rowsK.at(-1)!, 2, heads, depth], dtype).unbind(1);
      const offsetsQ = device.tensor(rowsQ, [rowsQ.length], 'i32');
      const offsetsK = device.tensor(rowsK, [rowsK.length], 'i32');
      const [maxQ, maxK] = [Math.max(...queries), Math.max(...keys)];
      return () => attention(q, k!, v!, { offsetsQ, offsetsK, maxQ, maxK });
    },
  };
}

export function convCall(
  size: number,
  channels: number,
  units: number,
  layout: 'channelsFirst' | 'channelsLast',
  dtype: DType = 'f16',
): Workload {
  const extents = [size, size, size];
  const shape = layout === 'channelsLast' ? [1, ...extents, channels] : [1, channels, ...extents];
  return {
    name: `conv3d ${dtype} ${size}^3, ${channels} -> ${units}, ${layout}`,
    flops: 2 * size ** 3 * 27 * channels * units,
    prepare(device) {
      const x = random(device, shape, dtype);
      const weight = random(device, [units, channels, 3, 3, 3], dtype);
      const bias = random(device, [units], dtype);
      return () => conv3d(x, weight, bias, { padding: 1, layout });
    },
  };
}

const windows = Array.from({ length: 300 }, (_, i) => 40 + ((i * 397) % 473));

export const WORKLOADS: readonly Workload[] = [
  linearCall(4096, 1024, 1024),
  linearCall(4096, 1024, 3072),
  linearCall(4096, 1024, 4096),
  linearCall(4096, 1024, 4096, 'f16', 'geluTanh'),
  linearCall(4096, 4096, 1024),
  linearCall(1374, 1024, 2048),
  linearCall(1374, 1024, 4096, 'f16', 'gelu'),
  linearCall(77, 768, 3072),
  linearCall(1, 1024, 6144),
  linearCall(4096, 8, 1024),
  linearCall(8192, 8192, 8192),
  matmulCall(8192, 8192, 8192),
  linearCall(4096, 1024, 4096, 'f32'),
  attentionCall('4096 tokens', 16, 64, [4096]),
  attentionCall('4096 x 1374 tokens', 16, 64, [4096], [1374]),
  attentionCall('1374 tokens', 16, 64, [1374]),
  attentionCall('300 windows of 40 to 512 tokens', 12, 64, windows),
  attentionCall('4096 tokens', 16, 80, [4096]),
  attentionCall('4096 tokens', 8, 128, [4096]),
  attentionCall('4096 tokens', 16, 64, [4096], [4096], 'f32'),
  convCall(16, 512, 512, 'channelsLast'),
  convCall(16, 512, 512, 'channelsFirst'),
  convCall(32, 128, 128, 'channelsLast'),
  convCall(64, 32, 32, 'channelsLast'),
  convCall(64, 32, 1, 'channelsLast'),
];

const BATCH_MILLISECONDS = 60;

async function wallMilliseconds(device: Device, call: () => Tensor): Promise<number> {
  const batch = async (count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) call().dispose();
    await device.sync();
    return (performance.now() - start) / count;
  };
  const guess = Math.min(await batch(2), await batch(3));
  const count = Math.max(3, Math.min(500, Math.ceil(BATCH_MILLISECONDS / guess)));
  return Math.min(await batch(count), await batch(count), await batch(count));
}

async function deviceMilliseconds(device: Device, call: () => Tensor): Promise<number | undefined> {
  if (!device.info.features.includes('timestamp-query')) return undefined;
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const dispatches = await profileDispatches(device, () => call().dispose());
    times.push(dispatches.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0));
  }
  return Math.min(...times) / 1e6;
}

/** Times one workload; its tensors are freed. */
export async function timeWorkload(device: Device, workload: Workload): Promise<Timing> {
  return device.run(async () => {
    const call = workload.prepare(device);
    call().dispose();
    await device.sync();
    const milliseconds = await wallMilliseconds(device, call);
    return {
      name: workload.name,
      milliseconds,
      deviceMilliseconds: await deviceMilliseconds(device, call),
      teraflops: workload.flops / milliseconds / 1e9,
    };
  });
}
