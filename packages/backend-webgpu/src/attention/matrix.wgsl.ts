/**
 * Attention of f16 on the matrix units: scores and sums in f32, online softmax as in FlashAttention (arXiv 2205.14135).
 *
 * A workgroup takes a tile of queries of one head through the keys of its sequence. Matrices cannot be scaled row by
 * row in registers, so a row keeps its reference maximum until a score exceeds it by a factor of 2^8: weights stay
 * within f16, and only then do the results pass through workgroup memory to be rescaled.
 */
import {
  accumulate,
  HALVES,
  loadHalves,
  loadSums,
  MATRIX,
  MATRIX_ENABLES,
  storeSums,
  SUMS,
} from '../wgsl/matrix-units.ts';
import {
  attentionInvocations,
  poolLayout,
  type MatrixShape,
  type PoolLayout,
} from './matrix-shape.ts';
import type { Attention, AttentionTemplate } from './problem.ts';

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Everything that the pieces of the program below refer to. */
interface Pieces {
  readonly shape: MatrixShape;
  readonly pool: PoolLayout;
  readonly size: number;
  readonly rows: readonly number[];
  readonly depths: readonly number[];
  /** Invocations that share a query, each with its part of the columns. */
  readonly parts: number;
  /** Depth tiles that pass through the lines of scores or weights at a time. */
  readonly span: number;
}

/** `subgroup`'s matrix `i` of a piece of the pool with a line for each query. */
function queryLines({ shape }: Pieces, start: number, pitch: number, i: number): string {
  return `${start}u + (subgroup * ${shape.rowTiles * MATRIX}u + ${i * MATRIX}u) * ${pitch}u`;
}

/** Runs of depth tiles that pass together. */
function spans({ depths, span }: Pieces): number[][] {
  const all: number[][] = [];
  for (let first = 0; first < depths.length; first += span)
    all.push(depths.slice(first, first + span));
  return all;
}

function loadQueries(pieces: Pieces): string {
  const { pool, rows, parts, span } = pieces;
  const chunks = (span * MATRIX) / 8 / parts;
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

/** Statements between memory, registers and the pool for the keys or values of a step. */
function staging(
  { shape, pool, size }: Pieces,
  name: 'k' | 'v',
): { declare: string; fetch: (step: string) => string; stash: string } {
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

function scoreStep(pieces: Pieces): string {
  const { shape, pool, rows, depths } = pieces;
  const columns = range(shape.keys / MATRIX);
  return `
    ${rows.flatMap((i) => columns.map((j) => `score${i}_${j} = ${SUMS}();`)).join('\n    ')}
${depths
  .map(
    (d) => `    {
      ${columns
        .map(
          (j) =>
            `let key${j} = ${loadHalves('right', 'col_major', `${pool.keys + j * MATRIX * pool.keyPitch + d * 2}u`, pool.keyPitch)};`,
        )
        .join('\n      ')}
      ${rows.flatMap((i) => columns.map((j) => accumulate(`score${i}_${j}`, `q${i}_${d}`, `key${j}`))).join('\n      ')}
    }`,
  )
  .join('\n')}
    ${rows
      .flatMap((i) =>
        columns.map((j) =>
          storeSums(
            `score${i}_${j}`,
            `${queryLines(pieces, pool.scores, pool.scorePitch, i)} + ${j * 4}u`,
            pool.scorePitch,
          ),
        ),
      )
      .join('\n    ')}`;
}

/** Four scores or results of the invocation's query, from a place in its line. */
function lineFour(at: string): string {
  return `bitcast<vec4<f32>>(pool[score_line + ${at}])`;
}

function softmaxStep({ shape, parts }: Pieces): string {
  const fours = shape.keys / 4;
  const own = fours / parts;
  const hide = (name: string, at: string): string =>
    `${name} = visible(${name}, step * ${shape.keys}u + (${at}) * 4u, limit);`;
  // Invocations that share a query all find its highest score, and then look up their part again.
  const own4 = range(own).map((i) => (parts === 1 ? `score_${i}` : `own_${i}`));
  return `
    ${range(fours)
      .map((i) => `var score_${i} = ${lineFour(`${i}u`)} * params.scale;`)
      .join('\n    ')}
    if (masked) {
      ${range(fours)
        .map((i) => hide(`score_${i}`, `${i}u`))
        .join('\n      ')}
    }
    let highest4 = ${range(fours).reduce((text, i) => (i === 0 ? 'score_0' : `max(${text}, score_${i})`), '')};
    let highest = max(max(highest4.x, highest4.y), max(highest4.z, highest4.w));
    var shrink = 1.0;
    if (reference == NONE) {
      // Nothing is summed up yet.
      if (highest > HIDDEN) { reference = highest; }
    } else if (highest > reference + ${HEADROOM}) {
      shrink = exp2(reference - highest);
      total *= shrink;
      reference = highest;
      atomicStore(&rescale, 1u);
    }
    ${
      parts === 1
        ? ''
        : own4
            .map((name, i) => `var ${name} = ${lineFour(`part * ${own}u + ${i}u`)} * params.scale;`)
            .join('\n    ')
    }
    ${parts === 1 ? '' : `if (masked) {\n      ${own4.map((name, i) => hide(name, `part * ${own}u + ${i}u`)).join('\n      ')}\n    }`}
    ${own4.map((name, i) => `let weight_${i} = exp2(${name} - reference);`).join('\n    ')}
    let total4 = ${own4.map((_, i) => `weight_${i}`).join(' + ')};
    total += (total4.x + total4.y) + (total4.z + total4.w);
    ${range(own / 2)
      .map(
        (i) =>
          `pool[weight_line + part * ${own / 2}u + ${i}u] = halves_of(weight_${2 * i}, weight_${2 * i + 1});`,
      )
      .join('\n    ')}`;
}

// Binary orders of magnitude by which weights may exceed 1.
const HEADROOM = '8.0';

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

function mixStep(pieces: Pieces): string {
  const { shape, pool, rows, depths } = pieces;
  return range(shape.keys / MATRIX)
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
        let value = ${loadHalves('right', 'row_major', `${pool.values + j * MATRIX * pool.keyPitch + d * 2}u`, pool.keyPitch)};
        ${rows.map((i) => accumulate(`mixed${i}_${d}`, `weights${i}`, 'value')).join('\n        ')}
      }`,
  )
  .join('\n')}
    }`,
    )
    .join('');
}

/** Elements of a line of the pool that one of the invocations of a query works on, for a run of depth tiles. */
function ownFours({ parts }: Pieces, tiles: readonly number[]): number {
  return (tiles.length * MATRIX) / 4 / parts;
}

export function matrixAttention(problem: Attention, shape: MatrixShape): AttentionTemplate {
  const { heads, sequences, maxQ, causal } = problem;
  const pool = poolLayout(shape);
  const size = attentionInvocations(shape);
  const pieces: Pieces = {
    shape,
    pool,
    size,
    rows: range(shape.rowTiles),
    depths: range(shape.depthTiles),
    parts: size / pool.queries,
    span: shape.keys / MATRIX,
  };
  const { parts } = pieces;
  const k = staging(pieces, 'k');
  const v = staging(pieces, 'v');
  const rescaled = passResults(
    pieces,
    (tiles) =>
      range(ownFours(pieces, tiles))
        .map((c) => {
          const at = `score_line + part * ${ownFours(pieces, tiles)}u + ${c}u`;
          return `pool[${at}] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(pool[${at}]) * shrink);`;
        })
        .join('\n      '),
    true,
  );
  const stored = passResults(
    pieces,
    (tiles) =>
      range(ownFours(pieces, tiles) / 2)
        .map((c) => {
          const eight = `(part * ${ownFours(pieces, tiles) / 2}u + ${c}u)`;
          return `store_eight(query, head, ${tiles[0]! * MATRIX}u + ${eight} * 8u, position < sequence.queries, ${lineFour(`${eight} * 2u`)} * inverse, ${lineFour(`${eight} * 2u + 1u`)} * inverse);`;
        })
        .join('\n      '),
    false,
  );
  const tiles = Math.ceil(maxQ / pool.queries);
  return {
    each: 'group',
    workgroup: size,
    helpers: [HALVES],
    enables: MATRIX_ENABLES,
    subgroupId: true,
    ragged: true,
    tiles,
    count: tiles * heads * sequences,
    body: `
// Scores of keys that a query does not see, and the reference of a query that saw none yet.
const HIDDEN = -1e30;
const NONE = -1e29;
var<workgroup> pool: array<vec4<u32>, ${pool.size}>;
var<workgroup> rescale: atomic<u32>;
${parts === 1 ? '' : `var<workgroup> totals: array<f32, ${size}>;`}
fn visible(scores: vec4<f32>, key: u32, limit: u32) -> vec4<f32> {
  return select(vec4<f32>(HIDDEN), scores, vec4<u32>(key, key + 1u, key + 2u, key + 3u) < vec4<u32>(limit));
}
fn fetch_k(sequence: Sequence, head: u32, key: u32, depth: u32) -> vec4<u32> {
  return k_read(k_start(sequence.first_k + min(key, sequence.keys - 1u), head), depth);
}
// A weight of zero does not silence infinite or undefined values.
fn fetch_v(sequence: Sequence, head: u32, key: u32, depth: u32) -> vec4<u32> {
  if (key >= sequence.keys) { return vec4<u32>(); }
  return v_read(v_start(sequence.first_k + key, head), depth);
}
fn run(group: u32, lane: u32, subgroup: u32) {
  let sequence = sequence_at(group / (params.tiles * params.heads));
  let head = group / params.tiles % params.heads;
  let first = group % params.tiles * ${pool.queries}u;
  if (first >= sequence.queries) { return; }
  let part = lane % ${parts}u;
  let line = lane / ${parts}u;
  let position = first + line;
  let query = sequence.first_q + min(position, sequence.queries - 1u);
  if (sequence.keys == 0u) {
    for (var depth = part * 8u; depth < params.depth; depth += ${parts * 8}u) {
      store_eight(query, head, depth, position < sequence.queries, vec4<f32>(), vec4<f32>());
    }
    return;
  }
  let keys = ${causal ? `min(sequence.keys, first + ${pool.queries}u)` : 'sequence.keys'};
  let limit = ${causal ? 'min(sequence.keys, position + 1u)' : 'sequence.keys'};
  let steps = (keys + ${shape.keys - 1}u) / ${shape.keys}u;
  let score_line = ${pool.scores}u + line * ${pool.scorePitch}u;
  let weight_line = ${pool.weights}u + line * ${pool.weightPitch}u;
  let q_row = q_start(query, head);
  var reference = NONE;
  var total = 0.0;
  ${k.declare}
  ${v.declare}
  ${pieces.rows.flatMap((i) => pieces.depths.map((d) => `var mixed${i}_${d}: ${SUMS};`)).join('\n  ')}
  // Dawn zeroes a matrix declared in a loop once, not in each turn.
  ${pieces.rows
    .flatMap((i) => range(shape.keys / MATRIX).map((j) => `var score${i}_${j}: ${SUMS};`))
    .join('\n  ')}
  ${k.fetch('0u')}
  ${v.fetch('0u')}
  if (lane == 0u) { atomicStore(&rescale, 0u); }
  ${k.stash}
${loadQueries(pieces)}
  for (var step = 0u; step < steps; step++) {
    let more = step + 1u < steps;
    // Some query of the tile does not see all keys of the step.
    let masked = (step + 1u) * ${shape.keys}u > ${causal ? 'min(sequence.keys, first + 1u)' : 'sequence.keys'};
    if (more) {
    ${k.fetch('(step + 1u)')}
    }
${scoreStep(pieces)}
    workgroupBarrier();
${softmaxStep(pieces)}
    ${v.stash}
    if (more) {
    ${k.stash}
    }
    // Also the barrier between the weights and their use.
    if (workgroupUniformLoad(&rescale) != 0u) {${rescaled}
      if (lane == 0u) { atomicStore(&rescale, 0u); }
    }
    if (more) {
    ${v.fetch('(step + 1u)')}
    }
${mixStep(pieces)}
  }
  ${
    parts === 1
      ? ''
      : `totals[lane] = total;
  workgroupBarrier();
  total = ${range(parts)
    .map((i) => `totals[line * ${parts}u + ${i}u]`)
    .join(' + ')};`
  }
  // Queries without visible keys give zeros.
  let inverse = select(1.0 / total, 0.0, reference == NONE);
${stored}
}`,
  };
}
