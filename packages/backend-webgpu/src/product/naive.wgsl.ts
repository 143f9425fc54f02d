/** Matrix product without workgroup memory: every invocation keeps 4x4 sums in registers. */
import { block, blockLines } from './blocks.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';

export function naiveTemplate(
  { rows, columns, batches }: Product,
  { left, right }: TemplateOperands,
): Template {
  return {
    each: 'element',
    workgroup: 64,
    helpers: [],
    count: Math.ceil(rows / 4) * Math.ceil(columns / 4) * batches,
    body: `
fn run(index: u32) {
  let across = (params.columns + 3u) / 4u;
  let down = (params.rows + 3u) / 4u;
  let column = (index % across) * 4u;
  let row = (index / across % down) * 4u;
  let batch = index / (across * down);
  ${blockLines('left', left, 'left_base(batch)', 'row')}
  ${blockLines('right', right, 'right_base(batch)', 'column')}
  var sums = mat4x4<f32>();
  for (var depth = 0u; depth < params.depth; depth += 4u) {
    sums += ${block('right', right, 'depth')} * ${block('left', left, 'depth')};
  }
  // A loop, so that compilers see the activation once.
  for (var i = 0u; i < 4u; i++) { store_four(batch, row + i, column, sums[i]); }
}`,
  };
}
