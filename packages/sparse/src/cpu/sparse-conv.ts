/** `sparseConv3d` in f32: per block of rows and tap, the rows that have a neighbour are gathered into one product. */
import { addressOf, onlyF32, withTemporary, type CpuKernel, type TensorSpec } from '@pergola/core';
import { wasm } from './wasm/conv.generated.ts';

interface ConvPlan {
  /** Rows of x. */
  readonly sources: number;
  readonly rows: number;
  readonly taps: number;
  readonly depth: number;
  readonly columns: number;
  /** Bytes of one packed tap. */
  readonly tapBytes: number;
  readonly blockDepth: number;
}

// Columns of a packed panel, as in the tiles of core's matrix product.
const PANEL_COLUMNS = 8;
// Rows of a block: enough that the few rows by which short tables are filled up cost little, few enough that the
// features of a block and its neighbours stay in the second-level cache and every thread gets several blocks.
const BLOCK_ROWS = { least: 48, most: 384 } as const;
const BLOCK_BYTES = 1 << 20;
const BLOCKS_PER_THREAD = 8;
// A panel of this depth (8 KiB) stays in the first-level cache.
const BLOCK_DEPTH = 256;
// Work worth handing to another thread, about 30 microseconds.
const GRAIN_FLOPS = 1_000_000;

function planConv([x, , , map]: readonly (TensorSpec | undefined)[], columns: number): ConvPlan {
  const [sources, depth] = x!.shape as [number, number];
  const [rows, taps] = map!.shape as [number, number];
  const tapBytes = Math.ceil(columns / PANEL_COLUMNS) * PANEL_COLUMNS * depth * 4;
  const blockDepth = Math.ceil(depth / Math.ceil(depth / BLOCK_DEPTH));
  return { sources, rows, taps, depth, columns, tapBytes, blockDepth };
}

/** Results do not depend on the choice. */
function blockRows({ rows, depth, columns }: ConvPlan, threads: number): number {
  const fitting = BLOCK_BYTES / (4 * (2 * depth + columns));
  const shared = rows / (BLOCKS_PER_THREAD * threads);
  const { least, most } = BLOCK_ROWS;
  return Math.floor(Math.max(least, Math.min(most, fitting, shared)));
}

export const sparseConv3dKernel: CpuKernel<object, ConvPlan> = {
  op: 'sparseConv3d',
  supports({ inputs: [x, weight, bias] }) {
    if (x!.shape[1] === 0) return 'it sums nothing';
    return onlyF32([x, weight, bias]);
  },
  prepare: ({ inputs, outputs }) => planConv(inputs, outputs[0]!.shape[1]!),
  run(plan, [x, weight, bias, map], [out], context) {
    const { sources, rows, taps, depth, columns, tapBytes, blockDepth } = plan;
    const height = blockRows(plan, context.pool.threads);
    withTemporary(context, taps * tapBytes, (packed) => {
      const packing = [addressOf(weight!, 'f32'), packed, tapBytes, depth, columns, taps];
      context.pool.run(wasm, 'packTaps', packing, taps, GRAIN_FLOPS / (32 * depth * columns));
      const words = [
        ...[addressOf(x!, 'f32'), sources, packed, tapBytes],
        ...[bias === undefined ? 0 : addressOf(bias, 'f32'), addressOf(map!, 'i32')],
        ...[addressOf(out!, 'f32'), rows, taps, depth, columns, height, blockDepth],
      ];
      const grain = GRAIN_FLOPS / (height * taps * depth * columns);
      context.pool.run(wasm, 'gatherConv', words, Math.ceil(rows / height), grain);
    });
  },
};
