/** Neighbour maps on the CPU. */
import { addressOf, type CpuContext, type CpuKernel } from '@pergola/core';
import type { NeighborMapAttrs } from '../ops/neighbors.ts';
import { wasm } from './wasm/hash.generated.ts';

// Look-ups worth handing to another thread, about 30 microseconds.
const GRAIN_LOOKUPS = 2048;
// Words of one item of `clearWords`, and items worth a thread.
const CLEAR_WORDS = 1024;
const CLEAR_GRAIN = 64;

function clear(context: CpuContext, start: number, words: number): void {
  const items = Math.ceil(words / CLEAR_WORDS);
  context.pool.run(wasm, 'clearWords', [start, words], items, CLEAR_GRAIN);
}

interface MapPlan {
  readonly attrs: NeighborMapAttrs;
  readonly rows: number;
  readonly sources: number;
  readonly capacity: number;
}

/** A centred kernel of odd size: tap t of i is j exactly when the opposite tap of j is i. */
function isCentered({ kernelSize, stride, padding, dilation }: NeighborMapAttrs): boolean {
  return stride === 1 && kernelSize % 2 === 1 && padding === (dilation * (kernelSize - 1)) / 2;
}

export const neighborMapKernel: CpuKernel<NeighborMapAttrs, MapPlan> = {
  op: 'neighborMap',
  supports: () => true,
  prepare: ({ inputs: [queries, coords, slots], attrs }) => ({
    attrs,
    rows: queries!.shape[0]!,
    sources: coords!.shape[0]!,
    capacity: slots!.shape[0]!,
  }),
  run({ attrs, rows, sources, capacity }, [queries, coords, slots], [out], context) {
    const { kernelSize, stride, padding, dilation } = attrs;
    const taps = kernelSize ** 3;
    const [from, table, map] = [queries!, coords!, out!].map((binding) =>
      addressOf(binding, 'i32'),
    );
    const words = [
      ...[from!, table!, addressOf(slots!, 'i32'), capacity - 1, map!],
      ...[kernelSize, stride, padding, dilation],
    ];
    const symmetric = from === table && rows === sources && isCentered(attrs);
    if (symmetric) clear(context, map!, rows * taps);
    const job = symmetric ? 'symmetricNeighbors' : 'neighbors';
    context.pool.run(wasm, job, words, rows, GRAIN_LOOKUPS / taps);
  },
};

export const invertNeighborMapKernel: CpuKernel<
  object,
  readonly [rows: number, taps: number, outputs: number]
> = {
  op: 'invertNeighborMap',
  supports: () => true,
  prepare: ({ inputs: [map], outputs }) => [map!.shape[0]!, map!.shape[1]!, outputs[0]!.shape[0]!],
  run([rows, taps, outputs], [map], [out], context) {
    const to = addressOf(out!, 'i32');
    clear(context, to, outputs * taps);
    const words = [addressOf(map!, 'i32'), taps, to, outputs];
    context.pool.run(wasm, 'invert', words, rows, (8 * GRAIN_LOOKUPS) / taps);
  },
};
