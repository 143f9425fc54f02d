/**
 * Times shapes of attention on matrix units at the sizes of full models, and compares their results with those of the
 * strategy `tiled`. Prints a line for each shape, the fastest first. `scripts/bundle.mjs` makes one file of it.
 *
 *     node tune-attention.mjs [--shapes 4x2x16,2x2x64] [--problems regex]
 */
import { exit } from 'node:process';
import { parseArgs } from 'node:util';
import type { AttentionAttrs, Device, Tensor } from '@pergola/core';
import { matrixShapeFits } from '../src/attention/matrix-shape.ts';
import { attentionOf } from '../src/attention/problem.ts';
import type { WebGpuContext, WebGpuKernel } from '../src/context.ts';
import { attentionKernel, PlannedAttention } from '../src/kernels/attention.ts';
import { profileDispatches } from '../src/timing.ts';
import { ATTENTION_SHAPES, attentionShape } from './attention-shapes.ts';
import { openCheckedDevice } from './open.ts';
import { attentionCall } from './timings.ts';

const { values } = parseArgs({
  options: { shapes: { type: 'string' }, problems: { type: 'string', default: '' } },
});

const SHAPES = values.shapes?.split(',') ?? ATTENTION_SHAPES;
const PROBLEMS = [
  { depth: 64, call: attentionCall('4096 tokens', 16, 64, [4096]) },
  { depth: 64, call: attentionCall('4096 x 1374 tokens', 16, 64, [4096], [1374]) },
  { depth: 80, call: attentionCall('4096 tokens', 16, 80, [4096]) },
].filter(({ call }) => new RegExp(values.problems).test(call.name));
const TIMED_CALLS = 12;
// Devices lower their clocks while a program is compiled, and raise them again only under load.
const WARM_UP_MILLISECONDS = 350;

const offered: WebGpuKernel<AttentionAttrs, PlannedAttention> = {
  ...attentionKernel,
  strategies: [...attentionKernel.strategies!, ...SHAPES],
  prepare(call, context, strategy) {
    if (!SHAPES.includes(strategy!)) return attentionKernel.prepare(call, context, strategy);
    const problem = attentionOf(call);
    const shape = attentionShape(strategy!, problem.depth);
    return new PlannedAttention(context, problem, 'subgroup-matrix', shape);
  },
};

/** Makes every shape a strategy of attention; the returned function chooses the one that calls take. */
function offerShapes(device: Device): (strategy: string) => void {
  const { backend } = device;
  const kernelOf = backend.kernel.bind(backend);
  backend.kernel = (op) => (op.name === attentionKernel.op ? offered : kernelOf(op));
  const execute = device.execute.bind(device);
  let chosen = 'tiled';
  device.execute = (op, inputs, attrs) =>
    execute(op, inputs, attrs, op.name === attentionKernel.op ? chosen : undefined);
  return (strategy) => (chosen = strategy);
}

async function resultOf(call: () => Tensor): Promise<Float32Array> {
  using result = call();
  return result.floats();
}

/** Best device time of a call, in milliseconds. */
async function timeOf(device: Device, call: () => Tensor): Promise<number> {
  const end = performance.now() + WARM_UP_MILLISECONDS;
  while (performance.now() < end) {
    for (let i = 0; i < TIMED_CALLS; i++) call().dispose();
    await device.sync();
  }
  const dispatches = await profileDispatches(device, () => {
    for (let i = 0; i < TIMED_CALLS; i++) call().dispose();
  });
  return Math.min(...dispatches.map(({ nanoseconds }) => nanoseconds)) / 1e6;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    // Also not a number.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

const device = await openCheckedDevice(false);
const { capabilities } = device.backend.context as WebGpuContext;
console.log(`${device.info.description}, ${capabilities.workgroupBytes} bytes per workgroup`);
const choose = offerShapes(device);
const times = new Map<string, string[]>(SHAPES.map((name) => [name, []]));
const order = new Map<string, number>();
for (const { depth, call: workload } of PROBLEMS) {
  await device.run(async () => {
    const call = workload.prepare(device);
    choose('tiled');
    const wanted = await resultOf(call);
    for (const name of SHAPES) {
      if (!matrixShapeFits(attentionShape(name, depth), capabilities)) {
        times.get(name)!.push('does not fit');
        continue;
      }
      // A shape that ends the process is the last one named.
      process.stderr.write(`${name} `);
      choose(name);
      const difference = largestDifference(await resultOf(call), wanted);
      const milliseconds = await timeOf(device, call);
      const rate = (workload.flops / milliseconds / 1e9).toFixed(0);
      times
        .get(name)!
        .push(
          `${milliseconds.toFixed(3)} ms ${rate} TFLOP/s (off by ${difference.toExponential(1)})`,
        );
      // Not all shapes fit all problems: the first one ranks them.
      if (!order.has(name)) order.set(name, milliseconds);
    }
  });
}
console.log(`\n${['shape', ...PROBLEMS.map(({ call }) => call.name)].join(' | ')}`);
const rank = (name: string): number => order.get(name) ?? Infinity;
for (const name of SHAPES.toSorted((a, b) => rank(a) - rank(b))) {
  console.log([name.padEnd(9), ...times.get(name)!].join(' | '));
}
// Dawn keeps the process alive.
exit(0);
