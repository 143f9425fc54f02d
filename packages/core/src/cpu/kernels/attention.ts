/** `attention` in f32: tiles of queries, spread over sequences and heads. q, k and v are read in place. */
import { InputError } from '../../errors.ts';
import { MAX_HEAD_DIMENSION, type AttentionAttrs } from '../../ops/attention.ts';
import { addressOf, withTemporary, wordsAt, type CpuContext, type CpuKernel } from '../context.ts';
import { floatWord } from '../pool.ts';
import { wasm } from '../wasm/attention.generated.ts';

interface AttentionPlan extends AttentionAttrs {
  readonly rows: readonly [q: number, k: number];
  readonly sequences: number;
  readonly heads: number;
  readonly dimension: number;
  /** Row and head strides of q, k, v and the output, in bytes. */
  readonly strides: readonly (readonly [row: number, head: number])[];
}

/** First query, queries, first key, keys, position of the first query in its sequence. */
type Tile = readonly [number, number, number, number, number];

// Queries of a tile: packing the keys again for each tile costs about 1 / TILE_QUERIES of the work. At most 96, a bound
// of the job, and a multiple of the 6 rows of its matrix product.
const TILE_QUERIES = 96;
const SMALLEST_TILE = 24;
const GRAIN_FLOPS = 1_000_000;

/** @throws InputError unless the offsets ascend inside `[0, rows]`. */
function checkOffsets(name: string, offsets: Int32Array, rows: number): void {
  let last = 0;
  for (const offset of offsets) {
    if (offset < last || offset > rows) {
      throw new InputError(
        `attention: ${name} must ascend from 0 to ${rows}, got ${offset} after ${last}.`,
      );
    }
    last = offset;
  }
}

function cutTiles(queries: Int32Array, keys: Int32Array, size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let s = 0; s + 1 < queries.length; s++) {
    const [first, end] = [queries[s]!, queries[s + 1]!];
    const [firstKey, keyCount] = [keys[s]!, keys[s + 1]! - keys[s]!];
    for (let at = first; at < end; at += size) {
      tiles.push([at, Math.min(size, end - at), firstKey, keyCount, at - first]);
    }
  }
  return tiles;
}

function readOffsets(context: CpuContext, address: number, count: number): Int32Array {
  return new Int32Array(wordsAt(context, address, count));
}

export const attentionKernel: CpuKernel<AttentionAttrs, AttentionPlan> = {
  op: 'attention',
  supports({ inputs }) {
    const { dtype, shape } = inputs[0]!;
    if (dtype !== 'f32') return `it computes in f32, not ${dtype}`;
    if (shape[2]! > MAX_HEAD_DIMENSION) return `heads have at most ${MAX_HEAD_DIMENSION} elements`;
    return true;
  },
  acceptsStrides: ({ inputs: [q, k, v, ...offsets] }) =>
    [q, k, v].every((x) => x!.strides[2] === 1 || x!.shape[2] === 1) &&
    offsets.every((x) => x!.contiguous),
  prepare({ inputs: [q, k, v, offsets], attrs }) {
    const [rows, heads, dimension] = q!.shape as [number, number, number];
    const strides = [
      ...[q!, k!, v!].map((x) => [x.strides[0]! * 4, x.strides[1]! * 4] as const),
      [heads * dimension * 4, dimension * 4] as const,
    ];
    return {
      ...attrs,
      rows: [rows, k!.shape[0]!],
      sequences: offsets!.shape[0]! - 1,
      heads,
      dimension,
      strides,
    };
  },
  run(plan, inputs, [out], context) {
    const { rows, sequences, heads, dimension, strides } = plan;
    const [q, k, v] = inputs.slice(0, 3).map((x) => addressOf(x!, 'f32'));
    const [queries, keys] = inputs
      .slice(3)
      .map((x) => readOffsets(context, addressOf(x!, 'i32'), sequences + 1));
    checkOffsets('offsetsQ', queries!, rows[0]);
    checkOffsets('offsetsK', keys!, rows[1]);
    const target = addressOf(out!, 'f32');
    // Rows outside all sequences are zero.
    if (queries![0] !== 0 || queries![sequences] !== rows[0]) {
      context.memory.bytes.fill(0, target, target + rows[0] * heads * dimension * 4);
    }
    let size = TILE_QUERIES;
    const enough = 8 * context.pool.threads;
    while (size > SMALLEST_TILE && Math.ceil(rows[0] / size) * heads < enough) size /= 2;
    const tiles = cutTiles(queries!, keys!, size);
    if (tiles.length === 0) return;
    withTemporary(context, tiles.length * 20, (table) => {
      wordsAt(context, table, tiles.length * 5).set(tiles.flat());
      const addresses = [q!, k!, v!, target];
      const words = [
        ...[table, heads, dimension, Number(plan.causal), floatWord(plan.scale)],
        ...addresses.flatMap((address, i) => [address, strides[i]![0], strides[i]![1]]),
      ];
      let pairs = 0;
      for (const [, queryCount, , keyCount] of tiles) pairs += queryCount * keyCount;
      const flops = Math.max(1, (4 * dimension * pairs) / tiles.length);
      context.pool.run(wasm, 'attention', words, tiles.length * heads, GRAIN_FLOPS / flops);
    });
  },
};
