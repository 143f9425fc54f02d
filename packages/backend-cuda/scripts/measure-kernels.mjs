// Times the kernels that transformer steps and sparse networks lean on, on a CUDA device, by its own clock.
//
//   node scripts/measure-kernels.mjs
import {
  add,
  conv3d,
  execute,
  full,
  gatedResidual,
  layerNorm,
  layerNormModulate,
  qkNorm,
  silu,
  softmax,
  sortByKey,
  sum,
} from '@pergola/core';
import { buildHash, neighborMap, sparseGroupNorm, uniqueCoordsOp } from '@pergola/sparse';
import { createCudaDevice } from '@pergola/backend-cuda';

const RUNS = 20;
const device = await createCudaDevice();
const { device: native } = device.backend.context;
console.log(device.info.description);

/** Median milliseconds of one call; `bytes` or `flops` of a call turn it into a rate. */
function measure(name, body, { bytes = 0, flops = 0 } = {}) {
  const times = [];
  for (let run = 0; run < RUNS + 3; run++) {
    device.run(() => {
      native.markTime(0);
      body();
      native.markTime(1);
    });
    if (run >= 3) times.push(native.elapsedMs());
  }
  const ms = times.sort((a, b) => a - b)[times.length >> 1];
  const rates = [`${name}: ${ms.toFixed(4)} ms`];
  if (bytes > 0) rates.push(`${(bytes / ms / 1e6).toFixed(0)} GB/s`);
  if (flops > 0) rates.push(`${(flops / ms / 1e9).toFixed(1)} TFLOP/s`);
  console.log(rates.join(', '));
}

/** A tensor of small numbers: halves are given as bit patterns of numbers below 1, large tensors are constant. */
function numbers(shape, dtype = 'f16') {
  const count = shape.reduce((a, b) => a * b, 1);
  if (count > 1 << 24) return full(device, shape, 0.375, dtype);
  if (dtype === 'f32')
    return device.tensor(
      Float32Array.from({ length: count }, (_, i) => (i % 97) / 97),
      shape,
    );
  const bits = new Uint16Array(count);
  for (let i = 0; i < count; i++) bits[i] = 0x3000 + (Math.imul(i, 0x9e3779b1) >>> 22);
  return device.tensor(bits, shape, dtype);
}

/** Voxels of a spherical shell about two thick, ascending: a surface as a network's decoder sees it. */
function shell(radius) {
  const coords = [];
  for (let x = -radius; x <= radius; x++) {
    for (let y = -radius; y <= radius; y++) {
      const flat = x * x + y * y;
      const outer = radius * radius - flat;
      if (outer < 0) continue;
      const high = Math.floor(Math.sqrt(outer));
      const inner = (radius - 2) * (radius - 2) - flat;
      const low = inner <= 0 ? 0 : Math.ceil(Math.sqrt(inner));
      for (let z = -high; z <= high; z++)
        if (Math.abs(z) >= low) coords.push(0, x + 512, y + 512, z + 512);
    }
  }
  return device.tensor(Int32Array.from(coords), [coords.length / 4, 4]);
}

const [rows, channels] = [4096, 1024];
const x = numbers([rows, channels]);
const h = numbers([rows, channels]);
const shift = numbers([2, channels]);
const gate = numbers([2, channels]);
const weight = numbers([channels], 'f32');
const offsets = device.tensor(Int32Array.of(0, 2048, 4096), [3]);
const half = rows * channels * 2;
measure('layerNormModulate 4096x1024 f16', () => layerNormModulate(x, shift, gate, offsets), {
  bytes: 2 * half,
});
measure('layerNorm 4096x1024 f16', () => layerNorm(x, weight, weight), { bytes: 2 * half });
measure('gatedResidual 4096x1024 f16', () => gatedResidual(x, h, gate, offsets), {
  bytes: 3 * half,
});
const qkv = numbers([rows, 3, 16, 64]);
const gamma = numbers([16, 64], 'f32');
const q = qkv.select(1, 0);
measure('qkNorm 4096x16x64 f16 in place of a projection', () => qkNorm(q, gamma), {
  bytes: 2 * half,
});
measure('add 4096x1024 f16', () => add(x, h), { bytes: 3 * half });
measure('silu 4096x1024 f16', () => silu(x), { bytes: 2 * half });
const large = numbers([65536, 1024]);
measure('silu 65536x1024 f16', () => silu(large), { bytes: 2 * large.size * 2 });
measure('layerNorm 65536x1024 f16', () => layerNorm(large, weight, weight), {
  bytes: 2 * large.size * 2,
});
measure('sum over rows of 65536x1024 f16', () => sum(large, { axes: [0] }), {
  bytes: large.size * 2,
});
measure('sum over all of 65536x1024 f16', () => sum(large), { bytes: large.size * 2 });
measure('softmax 65536x1024 f16', () => softmax(large), { bytes: 2 * large.size * 2 });
large.dispose();

const coords = shell(235);
const count = coords.shape[0];
const table = buildHash(coords);
measure(`buildHash ${count}`, () => buildHash(coords));
measure(`neighborMap ${count} 3^3`, () => neighborMap(coords, table, { kernelSize: 3 }), {
  bytes: count * 27 * 4,
});
measure(`uniqueCoords ${count}`, () => execute(uniqueCoordsOp, [coords], {}));
const features = numbers([count, 96]);
const whole = device.tensor(Int32Array.of(0, count), [2]);
const affine = numbers([96], 'f32');
measure(
  `sparseGroupNorm ${count}x96 f16`,
  () => sparseGroupNorm(features, affine, affine, whole, { groups: 32 }),
  {
    bytes: 3 * features.size * 2,
  },
);
features.dispose();

const keys = device.tensor(
  Int32Array.from({ length: 1 << 20 }, (_, i) => Math.imul(i, 0x9e3779b1)),
  [1 << 20],
);
measure('sortByKey 1048576 i32', () => sortByKey(keys));

for (const [extent, inputs, outputs] of [
  [16, 8, 512],
  [16, 512, 512],
  [16, 512, 1024],
  [32, 128, 128],
  [32, 128, 256],
  [64, 32, 32],
  [64, 32, 1],
]) {
  const volume = numbers([1, extent, extent, extent, inputs]);
  const kernel = numbers([outputs, inputs, 3, 3, 3]);
  const bias = numbers([outputs]);
  const flops = 2 * 27 * inputs * outputs * extent ** 3;
  const convolve = () => conv3d(volume, kernel, bias, { padding: 1, layout: 'channelsLast' });
  measure(`conv3d ${extent}^3 ${inputs} to ${outputs} f16`, convolve, { flops });
  if (inputs % 32 === 0) {
    const norm = () => layerNorm(volume, numbers([inputs], 'f32'), numbers([inputs], 'f32'));
    measure(`layerNorm ${extent}^3 x ${inputs} f16`, norm, { bytes: 2 * volume.size * 2 });
  }
  for (const part of [volume, kernel, bias]) part.dispose();
}
device.dispose();
