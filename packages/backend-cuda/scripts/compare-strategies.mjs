// Times every strategy of the kernels that have several, at the sizes of the published networks, by the device's clock,
// and says how far their results are from each other.
//
//   node scripts/compare-strategies.mjs [--op=attention,sparseConv3d]
import { attentionOp, cast, execute, full, gather, sub, abs, max } from '@pergola/core';
import { buildHash, neighborMap, sparseConv3dOp, SparseStructure } from '@pergola/sparse';
import { createCudaDevice, probeCuda } from '@pergola/backend-cuda';

const RUNS = 15;
const WARM_UP_RUNS = 3;
const PATTERN_ROWS = 4096;
// Slower ones than these only serve what the others refuse.
const LEFT_OUT = new Set(['scalar']);
const options = new Map(
  process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split('=')),
);
const { count, reason } = probeCuda();
if (count === 0) {
  console.log(reason);
  process.exit(1);
}
const device = await createCudaDevice();
const { device: native } = device.backend.context;
console.log(device.info.description);

/** Pseudo-random f16 `[rows, width]` in ±`scale`, whose rows repeat after a while. */
function randomRows(rows, width, scale = 1) {
  return device.run(() => {
    const stored = Math.min(rows, PATTERN_ROWS);
    let state = 12345;
    const values = Float32Array.from({ length: stored * width }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return (state / 2 ** 31) * scale;
    });
    const pattern = cast(device.tensor(values, [stored, width]), 'f16');
    if (stored === rows) return pattern;
    const index = Int32Array.from({ length: rows }, (_, row) => row % stored);
    return gather(pattern, device.tensor(index, [rows]));
  });
}

/** Median milliseconds of one call. */
function measure(body) {
  const times = [];
  for (let run = 0; run < RUNS + WARM_UP_RUNS; run++) {
    device.run(() => {
      native.markTime(0);
      body();
      native.markTime(1);
    });
    if (run >= WARM_UP_RUNS) times.push(native.elapsedMs());
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/** Times the strategies of a call and compares their results with those of the kernel's own choice. */
async function compare(title, op, inputs, attrs) {
  if (options.has('op') && !options.get('op').split(',').includes(op.name)) return;
  console.log(title);
  for (const strategy of [undefined, ...device.backend.kernel(op).strategies]) {
    if (LEFT_OUT.has(strategy)) continue;
    try {
      const ms = measure(() => execute(op, inputs, attrs, strategy));
      const apart = await device.run(async () => {
        const [own, other] = [undefined, strategy].map(
          (name) => execute(op, inputs, attrs, name)[0],
        );
        const wide = own.dtype === 'i32' ? [own, other] : [cast(own, 'f32'), cast(other, 'f32')];
        const largest = max(abs(sub(...wide)));
        return (await largest.data())[0];
      });
      console.log(
        `  ${(strategy ?? '(own choice)').padEnd(14)} ${ms.toFixed(4)} ms, ${apart} apart`,
      );
    } catch (error) {
      console.log(`  ${strategy ?? '(own choice)'}: ${error.message}`);
    }
  }
}

/** Voxels of a spherical shell about two thick: a surface as a network's decoder sees it. */
function shell(radius) {
  const coords = [];
  for (let x = -radius; x <= radius; x++) {
    for (let y = -radius; y <= radius; y++) {
      for (let z = -radius; z <= radius; z++) {
        const distance = Math.hypot(x, y, z);
        if (distance <= radius && distance > radius - 2) coords.push(0, x + 32, y + 32, z + 32);
      }
    }
  }
  return device.tensor(Int32Array.from(coords), [coords.length / 4, 4]);
}

for (const [tokens, dim] of [
  [4096, 64],
  [4096, 80],
  [4096, 128],
  [21824, 64],
]) {
  await device.run(async () => {
    const [q, k, v] = [0, 1, 2].map(() =>
      randomRows(tokens, 16 * dim, 1.7).reshape(tokens, 16, dim),
    );
    const offsets = device.tensor(Int32Array.of(0, tokens), [2]);
    const attrs = { maxQ: tokens, maxK: tokens, causal: false, scale: dim ** -0.5 };
    await compare(
      `attention 16 x ${tokens} x ${tokens}, head ${dim}`,
      attentionOp,
      [q, k, v, offsets, offsets],
      attrs,
    );
  });
}

const levels = [await SparseStructure.create(shell(30))];
for (let level = 0; level < 2; level++) levels.push(await levels.at(-1).subdivide());
for (const [level, inputs, outputs] of [
  [0, 128, 128],
  [0, 1024, 1024],
  [0, 256, 128],
  [0, 2048, 128],
  [1, 192, 192],
  [1, 768, 192],
  [2, 96, 96],
  [2, 192, 96],
]) {
  await device.run(async () => {
    const { coords } = levels[level];
    const rows = coords.shape[0];
    const map = neighborMap(coords, buildHash(coords), { kernelSize: 3 });
    const x = randomRows(rows, inputs);
    const weight = randomRows(outputs, 27 * inputs, 0.05).reshape(outputs, 3, 3, 3, inputs);
    const bias = full(device, [outputs], 0.25, 'f16');
    await compare(
      `sparseConv3d ${rows} rows, ${inputs} to ${outputs}`,
      sparseConv3dOp,
      [x, weight, bias, map],
      {},
    );
  });
}
for (const [rows, inputs, outputs] of [
  [500, 1024, 1024],
  [2000, 1024, 1024],
  [4418, 128, 1024],
  [4418, 1024, 1024],
]) {
  await device.run(async () => {
    const { coords } = levels[0];
    const few = coords.slice(0, 0, rows).toContiguous();
    const map = neighborMap(few, buildHash(few), { kernelSize: 3 });
    const weight = randomRows(outputs, 27 * inputs, 0.02).reshape(outputs, 3, 3, 3, inputs);
    await compare(
      `sparseConv3d ${rows} rows, ${inputs} to ${outputs}`,
      sparseConv3dOp,
      [randomRows(rows, inputs), weight, undefined, map],
      {},
    );
  });
}
device.dispose();
