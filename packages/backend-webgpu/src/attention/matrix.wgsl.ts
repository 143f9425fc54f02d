/**
 * Attention of f16 on the matrix units: scores and sums in f32, online softmax as in FlashAttention (arXiv 2205.14135).
 *
 * A workgroup takes a tile of queries of one head through the keys of its sequence. Matrices cannot be scaled row by
 * row in registers, so a row keeps the reference that its scores are taken relative to until the weights of a step add
 * up to too much for f16, and only then do its results pass through workgroup memory to be rescaled.
 */
import { HALVES, MATRIX, MATRIX_ENABLES, SUMS } from '../wgsl/matrix-units.ts';
import type { MatrixShape } from './matrix-shape.ts';
import {
  loadQueries,
  makeWeights,
  mixValues,
  makeScores,
  piecesOf,
  rescaleResults,
  staging,
  storeResults,
  sumParts,
  type Pieces,
  type Staging,
} from './matrix-steps.ts';
import type { Attention, AttentionTemplate } from './problem.ts';

/** From the queries in registers and the keys of the first step in the pool to the sums over all steps. */
function steps(pieces: Pieces, k: Staging, v: Staging): string {
  const { shape } = pieces;
  // Fetches past the last step bring keys that are not used.
  return `
  for (var step = 0u; step < steps; step++) {
    // Some query of the tile does not see all keys of the step.
    let masked = (step + 1u) * ${shape.keys}u > all_see;
    ${k.fetch('(step + 1u)')}
${makeScores(pieces)}
    workgroupBarrier();
${makeWeights(pieces)}
    ${v.stash}
    ${k.stash}
    ${v.fetch('(step + 1u)')}

    // Also the barrier between the weights and their use.
    if (workgroupUniformLoad(&rescale) != 0u) {${rescaleResults(pieces)}
      if (lane == 0u) { atomicStore(&rescale, 0u); }
    }
${mixValues(pieces)}
  }`;
}

export function matrixAttention(problem: Attention, shape: MatrixShape): AttentionTemplate {
  const { heads, sequences, maxQ, causal } = problem;
  const pieces = piecesOf(shape);
  const { pool, size, rows, depths, parts } = pieces;
  const k = staging(pieces, 'k');
  const v = staging(pieces, 'v');
  const tiles = Math.ceil(maxQ / pool.queries);
  return {
    each: 'group',
    workgroup: size,
    helpers: [HALVES],
    enables: MATRIX_ENABLES,
    subgroupId: true,
    ragged: problem.depth % MATRIX !== 0,
    tiles,
    count: tiles * heads * sequences,
    body: `
// The reference of a query that saw no key yet: below all scores.
const NONE = -1e30;
var<workgroup> pool: array<vec4<u32>, ${pool.size}>;
var<workgroup> rescale: atomic<u32>;
fn visible(key: u32, limit: u32) -> vec4<bool> {
  return vec4<u32>(key, key + 1u, key + 2u, key + 3u) < vec4<u32>(limit);
}
fn fetch_k(sequence: Sequence, head: u32, key: u32, depth: u32) -> vec4<u32> {
  return k_read(k_start(sequence.first_k + min(key, sequence.keys - 1u), head), depth);
}
// A weight of zero does not silence infinite or undefined values.
fn fetch_v(sequence: Sequence, head: u32, key: u32, depth: u32) -> vec4<u32> {
  let value = v_read(v_start(sequence.first_k + min(key, sequence.keys - 1u), head), depth);
  return select(vec4<u32>(), value, key < sequence.keys);
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
  let all_see = ${causal ? 'min(sequence.keys, first + 1u)' : 'sequence.keys'};
  let steps = (keys + ${shape.keys - 1}u) / ${shape.keys}u;
  let score_line = ${pool.scores}u + line * ${pool.scorePitch}u;
  let weight_line = ${pool.weights}u + line * ${pool.weightPitch}u;
  let q_row = q_start(query, head);
  var reference = NONE;
  var total = 0.0;
  ${k.declare}
  ${v.declare}
  ${rows.flatMap((i) => depths.map((d) => `var mixed${i}_${d}: ${SUMS};`)).join('\n  ')}
  // Dawn zeroes a matrix declared in a loop once, not in each turn.
  ${rows.map((i) => `var score${i}: ${SUMS};`).join('\n  ')}
  ${k.fetch('0u')}
  ${v.fetch('0u')}
  if (lane == 0u) { atomicStore(&rescale, 0u); }
  ${k.stash}
${loadQueries(pieces)}
${steps(pieces, k, v)}
  ${sumParts(pieces)}
  // Queries without visible keys give zeros.
  let inverse = select(1.0 / total, 0.0, reference == NONE);
${storeResults(pieces)}
}`,
  };
}
