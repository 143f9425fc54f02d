/** Matrix product without workgroup memory: every invocation keeps 4x4 sums in registers, or up to 8x8. */
import type { Capabilities } from '../capabilities.ts';
import { block, blockLines } from './blocks.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';

/** Blocks of 4x4 that one invocation makes, along the rows and along the columns. */
interface Blocks {
  readonly down: number;
  readonly across: number;
}

/** More blocks read less, which is what software devices spend their time on; GPUs rather want more invocations. */
function chooseBlocks({ rows, columns }: Product, { software }: Capabilities): Blocks {
  const along = (extent: number): number => (software && extent > 4 ? 2 : 1);
  return { down: along(rows), across: along(columns) };
}

export function naiveTemplate(
  product: Product,
  { left, right }: TemplateOperands,
  capabilities: Capabilities,
): Template {
  const { rows, columns, batches } = product;
  const { down, across } = chooseBlocks(product, capabilities);
  const lefts = Array.from({ length: down }, (_, i) => i);
  const rights = Array.from({ length: across }, (_, i) => i);
  const sums = lefts.flatMap((i) => rights.map((j) => `sums${i}_${j}`));
  return {
    each: 'element',
    workgroup: 64,
    helpers: [],
    count: Math.ceil(rows / (4 * down)) * Math.ceil(columns / (4 * across)) * batches,
    body: `
fn run(index: u32) {
  let across = (params.columns + ${4 * across - 1}u) / ${4 * across}u;
  let down = (params.rows + ${4 * down - 1}u) / ${4 * down}u;
  let column = (index % across) * ${4 * across}u;
  let row = (index / across % down) * ${4 * down}u;
  let batch = index / (across * down);
  ${lefts.map((i) => blockLines('left', left, 'left_base(batch)', `row + ${4 * i}u`, `left${i}_`)).join('\n  ')}
  ${rights.map((j) => blockLines('right', right, 'right_base(batch)', `column + ${4 * j}u`, `right${j}_`)).join('\n  ')}
  ${sums.map((name) => `var ${name} = mat4x4<f32>();`).join('\n  ')}
  for (var depth = 0u; depth < params.depth; depth += 4u) {
    ${lefts.map((i) => `let a${i} = ${block('left', left, 'depth', `left${i}_`)};`).join('\n    ')}
    ${rights.map((j) => `let b${j} = ${block('right', right, 'depth', `right${j}_`)};`).join('\n    ')}
    ${lefts.flatMap((i) => rights.map((j) => `sums${i}_${j} += b${j} * a${i};`)).join('\n    ')}
  }
  // A loop, so that compilers see the activation once.
  var all = array<mat4x4<f32>, ${sums.length}>(${sums.join(', ')});
  for (var i = 0u; i < ${4 * sums.length}u; i++) {
    let block = i / 4u;
    store_four(batch, row + block / ${across}u * 4u + i % 4u, column + block % ${across}u * 4u, all[block][i % 4u]);
  }
}`,
  };
}
