/** Matrix product of few rows: a workgroup makes four columns, its invocations share the depth. */
import type { Capabilities } from '../capabilities.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { block, blockLines } from './blocks.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';

/** Most rows of the strategy: beyond it tiles reuse what they read better. */
export const VECTOR_ROWS = 8;

const WORKGROUP = 64;

export function vectorTemplate(
  { rows, columns, batches }: Product,
  { left, right }: TemplateOperands,
  capabilities: Capabilities,
): Template {
  const reduction = groupReduction(capabilities, {
    name: 'add_up',
    type: 'vec4<f32>',
    combine: 'a + b',
    workgroup: WORKGROUP,
  });
  // Rows come in blocks of four; a single row is read alone.
  const blocks = Array.from({ length: Math.ceil(rows / 4) }, (_, i) => i);
  const single = rows === 1 && left.along === 'depth';
  const type = single ? 'vec4<f32>' : 'mat4x4<f32>';
  const lines = blocks.map((i) =>
    single
      ? 'let left0 = left_line(left_base(batch), 0u);'
      : `{ ${blockLines('left', left, 'left_base(batch)', `${i * 4}u`)}
      sums[${i}] += right_block * ${block('left', left, 'depth')}; }`,
  );
  const step = single ? 'sums[0] += right_block * left_read(left0, depth);' : lines.join('\n    ');
  const store = blocks.flatMap((i) =>
    [0, 1, 2, 3]
      .slice(0, rows - i * 4)
      .map(
        (r) =>
          `finish_row(batch, lane, ${i * 4 + r}u, column, sums[${i}]${single ? '' : `[${r}]`});`,
      ),
  );
  return {
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [],
    enables: reduction.enables,
    count: Math.ceil(columns / 4) * batches,
    body: `${reduction.code}
fn finish_row(batch: u32, lane: u32, row: u32, column: u32, part: vec4<f32>) {
  let sums = add_up(lane, part);
  if (lane == 0u) { store_four(batch, row, column, sums); }
}
fn run(group: u32, lane: u32) {
  let across = (params.columns + 3u) / 4u;
  let column = (group % across) * 4u;
  let batch = group / across;
  ${blockLines('right', right, 'right_base(batch)', 'column')}
  ${single ? lines[0]! : ''}
  var sums: array<${type}, ${blocks.length}>;
  for (var depth = lane * 4u; depth < params.depth; depth += ${WORKGROUP * 4}u) {
    let right_block = ${block('right', right, 'depth')};
    ${step}
  }
  ${store.join('\n  ')}
}`,
  };
}
