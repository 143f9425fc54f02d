/** Attention without workgroup memory: an invocation takes a few queries of one head through the keys. */
import type { Capabilities } from '../capabilities.ts';
import type { Attention, AttentionTemplate } from './problem.ts';

/** Queries that share what an invocation reads: software devices spend their time on reads. */
function queriesEach({ maxQ }: Attention, { software }: Capabilities): number {
  return software ? Math.min(4, Math.max(1, maxQ)) : 1;
}

export function naiveAttention(problem: Attention, capabilities: Capabilities): AttentionTemplate {
  const { depth, heads, sequences, maxQ, causal } = problem;
  const each = queriesEach(problem, capabilities);
  const tiles = Math.ceil(maxQ / each);
  const queries = Array.from({ length: each }, (_, i) => i);
  // Written out, since arrays with computed indices would not stay in registers.
  const fours = Array.from({ length: Math.ceil(depth / 4) }, (_, c) => c);
  const perQuery = (text: (i: number) => string): string => queries.map(text).join('\n    ');
  const perFour = (text: (c: number) => string): string => fours.map(text).join('\n    ');
  // Queries before the key do not see it.
  const visible = (i: number): string => (causal ? `key <= first + ${i}u` : 'true');
  return {
    each: 'element',
    workgroup: 64,
    helpers: [],
    ragged: false,
    tiles,
    count: sequences * tiles * heads,
    body: `
fn run(index: u32) {
  let head = index % params.heads;
  let first = index / params.heads % params.tiles * ${each}u;
  let sequence = sequence_at(index / (params.heads * params.tiles));
  if (first >= sequence.queries) { return; }
  let keys = ${causal ? `min(sequence.keys, first + ${each}u)` : 'sequence.keys'};
  // Loops, so that compilers see each access once.
  var all: array<vec4<f32>, ${each * fours.length}>;
  for (var i = 0u; i < ${each * fours.length}u; i++) {
    let query = sequence.first_q + min(first + i / ${fours.length}u, sequence.queries - 1u);
    all[i] = q_read(q_start(query, head), i % ${fours.length}u * 4u) * params.scale;
  }
  ${perQuery((i) => perFour((c) => `let q${i}_${c} = all[${i * fours.length + c}];`))}
  ${perQuery((i) => perFour((c) => `var mixed${i}_${c} = vec4<f32>();`))}
  ${perQuery((i) => `var highest${i} = 0.0;\n  var total${i} = 0.0;`)}
  for (var key = 0u; key < keys; key++) {
    let k = k_start(sequence.first_k + key, head);
    ${perQuery((i) => `var score${i} = 0.0;`)}
    ${perFour((c) => `{ let four = k_read(k, ${4 * c}u); ${queries.map((i) => `score${i} += dot(q${i}_${c}, four);`).join(' ')} }`)}
    ${perQuery(
      (i) => `if (key == 0u) { highest${i} = score${i}; }
    if (score${i} > highest${i} && ${visible(i)}) {
      let shrink = exp(highest${i} - score${i});
      total${i} *= shrink;
      ${perFour((c) => `mixed${i}_${c} *= shrink;`)}
      highest${i} = score${i};
    }
    let weight${i} = ${causal ? `select(0.0, exp(score${i} - highest${i}), ${visible(i)})` : `exp(score${i} - highest${i})`};
    total${i} += weight${i};`,
    )}
    let v = v_start(sequence.first_k + key, head);
    ${perFour(
      (c) =>
        `{ let four = v_read(v, ${4 * c}u); ${queries
          .map((i) =>
            // A weight of zero does not silence infinite or undefined values.
            causal
              ? `mixed${i}_${c} += select(vec4<f32>(), weight${i} * four, ${visible(i)});`
              : `mixed${i}_${c} += weight${i} * four;`,
          )
          .join(' ')} }`,
    )}
  }
  // Queries without keys give zeros.
  ${perQuery((i) => `let inverse${i} = select(1.0 / total${i}, 0.0, keys == 0u);`)}
  ${perQuery((i) => perFour((c) => `all[${i * fours.length + c}] = mixed${i}_${c} * inverse${i};`))}
  for (var i = 0u; i < ${each * fours.length}u; i++) {
    let position = first + i / ${fours.length}u;
    if (position >= sequence.queries) { break; }
    store_four(sequence.first_q + position, head, i % ${fours.length}u * 4u, all[i]);
  }
}`,
  };
}
