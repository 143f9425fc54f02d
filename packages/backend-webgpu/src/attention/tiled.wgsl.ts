/**
 * Attention through workgroup memory, in f32: 64 queries of one head go through the keys of their sequence in tiles of
 * 64, with a running softmax (as in FlashAttention, arXiv 2205.14135).
 *
 * Invocations form a square of 16: each keeps 4 queries x 4 keys of scores, and of the results 4 queries x every 16th
 * four of the depth.
 */
import type { Attention, AttentionTemplate } from './problem.ts';

const WORKGROUP = 256;
const TILE = 64;
const FOUR = [0, 1, 2, 3];
// Depth of the pieces in which queries and keys, and keys of the pieces in which values, come to workgroup memory.
const PIECE = 16;
// Fours of a line of a tile, one more so that writes across lines meet different banks.
const PITCH = TILE / 4 + 1;

/** Fours of the depth that every invocation keeps; there are few sizes, so that depths share programs. */
function ownFours(depth: number): number {
  return Math.ceil(depth / 64);
}

function operandFours(depth: number): number {
  return Math.max(2 * PIECE * PITCH, PIECE * ownFours(depth) * 16);
}

/** Workgroup memory of the strategy, in bytes. */
export function tiledAttentionBytes(depth: number): number {
  const scores = TILE * PITCH;
  const maxima = 16 * PITCH;
  return (operandFours(depth) + scores + maxima) * 16;
}

export function tiledAttention({
  depth,
  heads,
  sequences,
  maxQ,
  causal,
}: Attention): AttentionTemplate {
  const own = Array.from({ length: ownFours(depth) }, (_, i) => i);
  const tiles = Math.ceil(maxQ / TILE);
  const blocks = (TILE / 4) * (PIECE / 4);
  const mixed = FOUR.flatMap((i) => own.map((c) => `mixed${i}_${c}`));
  // A 4x4 block of a piece: four lines along the depth, turned so that a four holds neighbouring lines.
  const stage = (
    name: 'q' | 'k',
    slot: string,
    row: (line: string) => string,
    start: number,
  ): string => `
        let slot = ${slot};
        let depth = slot % ${PIECE / 4}u * 4u;
        let line = slot / ${PIECE / 4}u * 4u;
        let values = transpose(mat4x4<f32>(${FOUR.map(
          (i) => `${name}_read(${name}_start(${row(`line + ${i}u`)}, head), piece + depth)`,
        ).join(', ')}));
        for (var i = 0u; i < 4u; i++) { operands[${start}u + (depth + i) * ${PITCH}u + line / 4u] = values[i]; }`;
  return {
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [],
    ragged: true,
    tiles,
    count: tiles * heads * sequences,
    body: `
// Scores of keys that a query does not see.
const HIDDEN = -1e30;
var<workgroup> operands: array<vec4<f32>, ${operandFours(depth)}>;
// A line for each key: the weights of 64 queries.
var<workgroup> weights: array<vec4<f32>, ${TILE * PITCH}>;
var<workgroup> maxima: array<vec4<f32>, ${16 * PITCH}>;
fn run(group: u32, lane: u32) {
  let sequence = sequence_at(group / (params.tiles * params.heads));
  let head = group / params.tiles % params.heads;
  let first = group % params.tiles * ${TILE}u;
  if (first >= sequence.queries) { return; }
  let last_query = sequence.first_q + sequence.queries - 1u;
  let keys = ${causal ? `min(sequence.keys, first + ${TILE}u)` : 'sequence.keys'};
  let across = (params.depth + 3u) / 4u;
  let y = lane / 16u;
  let x = lane % 16u;
  // Keys that the invocation's queries see.
  let position = vec4<u32>(first + y * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
  let limit = ${causal ? 'min(vec4<u32>(sequence.keys), position + 1u)' : 'vec4<u32>(sequence.keys)'};
  var highest = vec4<f32>(HIDDEN);
  var total = vec4<f32>();
  ${mixed.map((name) => `var ${name} = vec4<f32>();`).join('\n  ')}
  for (var start = 0u; start < keys; start += ${TILE}u) {
    var scores = mat4x4<f32>();
    for (var piece = 0u; piece < params.depth; piece += ${PIECE}u) {
      workgroupBarrier();
      if (lane < ${blocks}u) {${stage('q', 'lane', (line) => `min(sequence.first_q + first + ${line}, last_query)`, 0)}
      } else if (lane < ${2 * blocks}u) {${stage('k', `lane - ${blocks}u`, (line) => `sequence.first_k + min(start + ${line}, sequence.keys - 1u)`, PIECE * PITCH)}
      }
      workgroupBarrier();
      for (var d = 0u; d < ${PIECE}u; d++) {
        let q = operands[d * ${PITCH}u + y];
        let k = operands[${PIECE * PITCH}u + d * ${PITCH}u + x];
        // A column for each key.
        scores += mat4x4<f32>(${['x', 'y', 'z', 'w'].map((c) => `q * k.${c}`).join(', ')});
      }
    }
    var top = vec4<f32>(HIDDEN);
    for (var j = 0u; j < 4u; j++) {
      scores[j] = select(vec4<f32>(HIDDEN), scores[j] * params.scale, vec4<u32>(start + x * 4u + j) < limit);
      top = max(top, scores[j]);
    }
    maxima[x * ${PITCH}u + y] = top;
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) { top = max(top, maxima[i * ${PITCH}u + y]); }
    let reference = max(highest, top);
    let shrink = exp(highest - reference);
    highest = reference;
    total *= shrink;
    for (var j = 0u; j < 4u; j++) {
      // Where no key was visible yet, hidden scores equal the reference.
      let weight = select(vec4<f32>(), exp(scores[j] - reference), scores[j] != vec4<f32>(HIDDEN));
      total += weight;
      weights[(x * 4u + j) * ${PITCH}u + y] = weight;
    }
    ${FOUR.flatMap((i) => own.map((c) => `mixed${i}_${c} *= shrink[${i}];`)).join('\n    ')}
    let tile_keys = min(${TILE}u, keys - start);
    for (var piece = 0u; piece < tile_keys; piece += ${PIECE}u) {
      workgroupBarrier();
      for (var slot = lane; slot < ${PIECE}u * across; slot += ${WORKGROUP}u) {
        let key = start + piece + slot / across;
        var value = vec4<f32>();
        // A weight of zero does not silence infinite or undefined values.
        if (key < sequence.keys) { value = v_read(v_start(sequence.first_k + key, head), slot % across * 4u); }
        operands[slot] = value;
      }
      workgroupBarrier();
      for (var i = 0u; i < ${PIECE}u; i++) {
        let weight = weights[(piece + i) * ${PITCH}u + y];
        ${own
          .map((c) => `let v${c} = operands[i * across + min(x + ${c * 16}u, across - 1u)];`)
          .join('\n        ')}
        ${FOUR.flatMap((i) => own.map((c) => `mixed${i}_${c} += weight[${i}] * v${c};`)).join('\n        ')}
      }
    }
  }
  workgroupBarrier();
  maxima[x * ${PITCH}u + y] = total;
  workgroupBarrier();
  total = vec4<f32>();
  for (var i = 0u; i < 16u; i++) { total += maxima[i * ${PITCH}u + y]; }
  // Queries without visible keys give zeros.
  let inverse = select(1.0 / total, vec4<f32>(), limit == vec4<u32>());
  var all = array<vec4<f32>, ${mixed.length}>(${mixed.join(', ')});
  for (var i = 0u; i < ${mixed.length}u; i++) {
    let query = i / ${own.length}u;
    if (position[query] >= sequence.queries) { continue; }
    store_four(sequence.first_q + position[query], head, (x + i % ${own.length}u * 16u) * 4u, all[i] * inverse[query]);
  }
}`,
  };
}
