/** Attention without workgroup memory: one invocation for each query and head, with a running softmax. */
import type { Attention, AttentionTemplate } from './problem.ts';

// Fours of the depth for which registers are set aside.
const SIZES = [8, 16, 32];

export function naiveAttention({
  depth,
  heads,
  sequences,
  maxQ,
  causal,
}: Attention): AttentionTemplate {
  // Few sizes, so that depths share programs.
  const fours = SIZES.find((size) => size * 4 >= depth)!;
  return {
    each: 'element',
    workgroup: 64,
    helpers: [],
    tiles: maxQ,
    count: sequences * maxQ * heads,
    body: `
fn run(index: u32) {
  let head = index % params.heads;
  let position = index / params.heads % params.tiles;
  let sequence = sequence_at(index / (params.heads * params.tiles));
  if (position >= sequence.queries) { return; }
  let query = sequence.first_q + position;
  let keys = ${causal ? 'min(sequence.keys, position + 1u)' : 'sequence.keys'};
  let fours = (params.depth + 3u) / 4u;
  var q: array<vec4<f32>, ${fours}>;
  var mixed: array<vec4<f32>, ${fours}>;
  for (var i = 0u; i < fours; i++) { q[i] = q_read(q_start(query, head), i * 4u) * params.scale; }
  var highest = 0.0;
  var total = 0.0;
  for (var j = 0u; j < keys; j++) {
    let k = k_start(sequence.first_k + j, head);
    var score = 0.0;
    for (var i = 0u; i < fours; i++) { score += dot(q[i], k_read(k, i * 4u)); }
    if (j == 0u) { highest = score; }
    if (score > highest) {
      let shrink = exp(highest - score);
      total *= shrink;
      for (var i = 0u; i < fours; i++) { mixed[i] *= shrink; }
      highest = score;
    }
    let weight = exp(score - highest);
    total += weight;
    let v = v_start(sequence.first_k + j, head);
    for (var i = 0u; i < fours; i++) { mixed[i] += weight * v_read(v, i * 4u); }
  }
  // Queries without keys give zeros.
  let inverse = select(1.0 / total, 0.0, keys == 0u);
  for (var i = 0u; i < fours; i++) { store_four(query, head, i * 4u, mixed[i] * inverse); }
}`,
  };
}
