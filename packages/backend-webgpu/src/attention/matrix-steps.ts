/** Pieces of the subgroup-matrix program of attention: WGSL statements between memory, registers and the pool. */
import { accumulate, loadHalves, loadSums, MATRIX, storeSums, SUMS } from '../wgsl/matrix-units.ts';
import {
  attentionInvocations,
  poolLayout,
  type MatrixShape,
  type PoolLayout,
} from './matrix-shape.ts';

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Everything that the pieces of the program refer to. */
export interface Pieces {
  readonly shape: MatrixShape;
  readonly pool: PoolLayout;
  readonly size: number;
  readonly rows: readonly number[];
  readonly depths: readonly number[];
  /** Matrices of 16 along the keys of a step. */
  readonly columns: readonly number[];
  /** Neighbouring invocations that share a query, each with its part of the columns. */
  readonly parts: number;
}

export function piecesOf(shape: MatrixShape): Pieces {
  const pool = poolLayout(shape);
  const size = attentionInvocations(shape);
  return {
    shape,
    pool,
    size,
    rows: range(shape.rowTiles),
    depths: range(shape.depthTiles),
    columns: range(shape.keys / MATRIX),
    parts: size / pool.queries,
  };
}

/** `subgroup`'s matrix `i` of a piece of the pool with a line for each query. */
function queryLines({ shape }: Pieces, start: number, pitch: number, i: number): string {
  return `${start}u + (subgroup * ${shape.rowTiles * MATRIX}u + ${i * MATRIX}u) * ${pitch}u`;
}

/** Runs of depth tiles that pass through the lines of scores or weights together. */
function spans({ depths, columns }: Pieces): number[][] {
  const all: number[][] = [];
  for (let first = 0; first < depths.length; first += columns.length) {
    all.push(depths.slice(first, first + columns.length));
  }
  return all;
}

export function loadQueries(pieces: Pieces): string {
  const { pool, rows, parts, columns } = pieces;
  const chunks = (columns.length * MATRIX) / 8 / parts;
  return spans(pieces)
    .map(
      (tiles) => `
  ${range(chunks)
    .map(
      (c) =>
        `pool[weight_line + part * ${chunks}u + ${c}u] = q_read(q_row, ${tiles[0]! * MATRIX}u + (part * ${chunks}u + ${c}u) * 8u);`,
    )
    .join('\n  ')}
  workgroupBarrier();
  ${tiles
    .flatMap((d, at) =>
      rows.map(
        (i) =>
          `let q${i}_${d} = ${loadHalves('left', 'row_major', `${queryLines(pieces, pool.weights, pool.weightPitch, i)} + ${at * 2}u`, pool.weightPitch)};`,
      ),
    )
    .join('\n  ')}
  workgroupBarrier();`,
    )
    .join('');
}

/** Statements that bring the keys or values of a step to registers, and from there to the pool. */
export interface Staging {
  readonly declare: string;
  readonly fetch: (step: string) => string;
  readonly stash: string;
}

export function staging({ shape, pool, size }: Pieces, name: 'k' | 'v'): Staging {
  const reads = (shape.depthTiles * MATRIX) / 8;
  const total = shape.keys * reads;
  const loads = range(Math.ceil(total / size));
  const slot = (load: number): string => `(lane + ${load * size}u)`;
  const start = name === 'k' ? pool.keys : pool.values;
  return {
    declare: loads.map((load) => `var ${name}_next${load}: vec4<u32>;`).join('\n  '),
    fetch: (step) =>
      loads
        .map(
          (load) =>
            `${name}_next${load} = fetch_${name}(sequence, head, ${step} * ${shape.keys}u + ${slot(load)} / ${reads}u, ${slot(load)} % ${reads}u * 8u);`,
        )
        .join('\n    '),
    stash: loads
      .map((load) => {
        const store = `pool[${start}u + ${slot(load)} / ${reads}u * ${pool.keyPitch}u + ${slot(load)} % ${reads}u] = ${name}_next${load};`;
        return (load + 1) * size <= total ? store : `if (${slot(load)} < ${total}u) { ${store} }`;
      })
      .join('\n    '),
  };
}

/** Scores of every query and key of the pool, to the lines of scores. */
export function makeScores(pieces: Pieces): string {
  const { pool, rows, depths, columns } = pieces;
  const { keyPitch, scorePitch } = pool;
  const from = (j: number, d: number): string => `${pool.keys + j * MATRIX * keyPitch + d * 2}u`;
  const to = (i: number, j: number): string =>
    `${queryLines(pieces, pool.scores, scorePitch, i)} + ${j * 4}u`;
  // Sixteen keys after the other: their sums take the registers of those before.
  return columns
    .map(
      (j) => `
    ${rows.map((i) => `score${i} = ${SUMS}();`).join('\n    ')}
${depths
  .map(
    (d) => `    {
      let key = ${loadHalves('right', 'col_major', from(j, d), keyPitch)};
      ${rows.map((i) => accumulate(`score${i}`, `q${i}_${d}`, 'key')).join('\n      ')}
    }`,
  )
  .join('\n')}
    ${rows.map((i) => storeSums(`score${i}`, to(i, j), scorePitch)).join('\n    ')}`,
    )
    .join('');
}

// Weights above this would come close to the largest half, 65504.
const LARGEST_SUM = '4096.0';
// Binary orders of magnitude by which weights may exceed 1: the highest of 64 keys with that sum exceeds it by more.
const HEADROOM = '5.0';

/** Adds up what the invocations of a query hold. */
function acrossParts(parts: number, value: string): string {
  const lines: string[] = [];
  for (let distance = 1; distance < parts; distance *= 2) {
    lines.push(`${value} += subgroupShuffleXor(${value}, ${distance}u);`);
  }
  return lines.join('\n    ');
}

/** `total` of a query from those of its parts. */
export function sumParts({ parts }: Pieces): string {
  return acrossParts(parts, 'total');
}

/** `sum` and the weights of the invocation's part of its query, for its reference. */
function weigh({ shape, parts }: Pieces, hiding: boolean): string {
  const own = range(shape.keys / 4 / parts);
  const eights = range(own.length / 2);
  const place = (i: number): string => `part * ${own.length}u + ${i}u`;
  const weight = (i: number): string => {
    const plain = `exp2(fma(${lineFour(place(i))}, vec4<f32>(params.scale), vec4<f32>(-reference)))`;
    if (!hiding) return plain;
    return `select(vec4<f32>(), ${plain}, visible(step * ${shape.keys}u + (${place(i)}) * 4u, limit))`;
  };
  return `
      ${own.map((i) => `let weight_${i} = ${weight(i)};`).join('\n      ')}
      let sum4 = ${own.map((i) => `weight_${i}`).join(' + ')};
      sum = (sum4.x + sum4.y) + (sum4.z + sum4.w);
      ${eights.map((i) => `pool[weight_line + part * ${eights.length}u + ${i}u] = halves_of(weight_${2 * i}, weight_${2 * i + 1});`).join('\n      ')}`;
}

/** Weights from the scores of every query, in the pool. */
export function makeWeights(pieces: Pieces): string {
  const { shape, parts } = pieces;
  return `
    var shrink = 1.0;
    var sum = 0.0;
    {${weigh(pieces, false)}
    }
    var row_sum = sum;
    ${acrossParts(parts, 'row_sum')}
    // Once more where keys are hidden, there is no reference yet, or it is too low.
    if (masked || reference == NONE || row_sum > ${LARGEST_SUM}) {
      var highest4 = vec4<f32>(NONE);
      for (var i = 0u; i < ${shape.keys / 4}u; i++) {
        highest4 = max(highest4, select(vec4<f32>(NONE), ${lineFour('i')} * params.scale, visible(step * ${shape.keys}u + i * 4u, limit)));
      }
      let highest = max(max(highest4.x, highest4.y), max(highest4.z, highest4.w));
      if (highest > reference + ${HEADROOM}) {
        if (reference != NONE) {
          shrink = exp2(reference - highest);
          total *= shrink;
          atomicStore(&rescale, 1u);
        }
        reference = highest;
      }${weigh(pieces, true)}
    }
    total += sum;`;
}

/** Adds the products of weights and values to the results. */
export function mixValues(pieces: Pieces): string {
  const { pool, rows, depths, columns } = pieces;
  const { keyPitch } = pool;
  const place = (j: number, d: number): string => `${pool.values + j * MATRIX * keyPitch + d * 2}u`;
  return columns
    .map(
      (j) => `
    {
      ${rows
        .map(
          (i) =>
            `let weights${i} = ${loadHalves('left', 'row_major', `${queryLines(pieces, pool.weights, pool.weightPitch, i)} + ${j * 2}u`, pool.weightPitch)};`,
        )
        .join('\n      ')}
${depths
  .map(
    (d) => `      {
        let value = ${loadHalves('right', 'row_major', place(j, d), keyPitch)};
        ${rows.map((i) => accumulate(`mixed${i}_${d}`, `weights${i}`, 'value')).join('\n        ')}
      }`,
  )
  .join('\n')}
    }`,
    )
    .join('');
}

/** Four scores or results of the invocation's query, from a place in its line. */
function lineFour(at: string): string {
  return `bitcast<vec4<f32>>(pool[score_line + ${at}])`;
}

/** Passes the results through the lines of scores, `each` reading or changing those of one query. */
function passResults(
  pieces: Pieces,
  each: (tiles: readonly number[]) => string,
  back: boolean,
): string {
  const { pool, rows } = pieces;
  const place = (i: number, at: number): string =>
    `${queryLines(pieces, pool.scores, pool.scorePitch, i)} + ${at * 4}u`;
  return spans(pieces)
    .map(
      (tiles) => `
      ${tiles
        .flatMap((d, at) =>
          rows.map((i) => storeSums(`mixed${i}_${d}`, place(i, at), pool.scorePitch)),
        )
        .join('\n      ')}
      workgroupBarrier();
      ${each(tiles)}
      workgroupBarrier();${
        back
          ? `
      ${tiles
        .flatMap((d, at) =>
          rows.map((i) => `mixed${i}_${d} = ${loadSums(place(i, at), pool.scorePitch)};`),
        )
        .join('\n      ')}
      workgroupBarrier();`
          : ''
      }`,
    )
    .join('');
}

/** Elements of a line of the pool that one of the invocations of a query works on, for a run of depth tiles. */
function ownFours({ parts }: Pieces, tiles: readonly number[]): number {
  return (tiles.length * MATRIX) / 4 / parts;
}

/** Multiplies the results of every query by its `shrink`. */
export function rescaleResults(pieces: Pieces): string {
  const each = (tiles: readonly number[]): string => {
    const own = ownFours(pieces, tiles);
    return range(own)
      .map((c) => {
        const at = `part * ${own}u + ${c}u`;
        return `pool[score_line + ${at}] = bitcast<vec4<u32>>(${lineFour(at)} * shrink);`;
      })
      .join('\n      ');
  };
  return passResults(pieces, each, true);
}

/** Stores the results of every query, times its `inverse`. */
export function storeResults(pieces: Pieces): string {
  const each = (tiles: readonly number[]): string => {
    const eights = ownFours(pieces, tiles) / 2;
    return range(eights)
      .map((c) => {
        const eight = `(part * ${eights}u + ${c}u)`;
        return `store_eight(query, head, ${tiles[0]! * MATRIX}u + ${eight} * 8u, position < sequence.queries, ${lineFour(`${eight} * 2u`)} * inverse, ${lineFour(`${eight} * 2u + 1u`)} * inverse);`;
      })
      .join('\n      ');
  };
  return passResults(pieces, each, false);
}
