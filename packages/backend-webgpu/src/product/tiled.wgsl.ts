/** Matrix product through workgroup memory: 64x64 or 128x128 results per workgroup, in f32. */
import type { Capabilities } from '../capabilities.ts';
import { blockLines } from './blocks.ts';
import type { Operand, Side } from './operand.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';

const WORKGROUP = 256;
const DEPTH = 16;
// Large tiles pay when they still occupy a good part of a device.
const MANY_TILES = 64;

/** Tiles of `64 fours` rows and columns; invocations form a square of 16 and take `fours` x `fours` blocks of 4x4. */
export interface Tiles {
  readonly fours: 1 | 2;
  readonly depth: number;
}

/** Fours of a line of the tile, with one more so that writes along the depth meet different banks. */
function pitch(fours: number): number {
  return fours * 16 + 1;
}

function workgroupBytes(fours: number): number {
  return 2 * DEPTH * pitch(fours) * 16;
}

/** The largest tiles that fit the device and leave it enough workgroups. */
export function chooseTiles(
  { rows, columns, batches }: Product,
  capabilities: Capabilities,
): Tiles {
  const large = Math.ceil(rows / 128) * Math.ceil(columns / 128) * batches;
  const fits = workgroupBytes(2) <= capabilities.workgroupBytes;
  return { fours: large >= MANY_TILES && fits ? 2 : 1, depth: DEPTH };
}

/** Statements of one invocation that move a 4x4 block of an operand to its tile. */
function stage(side: Side, operand: Operand, fours: number, slot: string): string {
  const lines = fours * 16;
  const [depth, line] =
    operand.along === 'depth'
      ? [`(slot % ${DEPTH / 4}u) * 4u`, `slot / ${DEPTH / 4}u`]
      : [`slot / ${lines}u * 4u`, `slot % ${lines}u`];
  const reads = [0, 1, 2, 3].map((i) =>
    operand.along === 'depth'
      ? `${side}_read(${side}${i}, first + depth)`
      : `${side}_read(${side}0, first + depth + ${i}u)`,
  );
  const matrix = `mat4x4<f32>(${reads.join(', ')})`;
  return `
      let slot = ${slot};
      let depth = ${depth};
      let line = ${line};
      ${blockLines(side, operand, `${side}_start`, `${side === 'left' ? 'row' : 'column'}_start + line * 4u`)}
      // A column for each step of the depth.
      let values = ${operand.along === 'depth' ? `transpose(${matrix})` : matrix};
      for (var i = 0u; i < 4u; i++) { ${side}_tile[(depth + i) * ${pitch(fours)}u + line] = values[i]; }`;
}

export function tiledTemplate(
  { rows, columns, batches }: Product,
  { left, right }: TemplateOperands,
  { fours }: Tiles,
): Template {
  const side = fours * 64;
  const blocks = fours * 64;
  const each = Array.from({ length: fours }, (_, i) => i);
  const four = [0, 1, 2, 3];
  const sums = each.flatMap((r) => four.flatMap((i) => each.map((c) => `sum${r}${i}${c}`)));
  const across = Math.ceil(columns / side);
  const down = Math.ceil(rows / side);
  return {
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [],
    count: across * down * batches,
    body: `${left.walk?.code(side, WORKGROUP) ?? ''}
var<workgroup> left_tile: array<vec4<f32>, ${DEPTH * pitch(fours)}>;
var<workgroup> right_tile: array<vec4<f32>, ${DEPTH * pitch(fours)}>;
fn run(group: u32, lane: u32) {
  let across = (params.columns + ${side - 1}u) / ${side}u;
  let down = (params.rows + ${side - 1}u) / ${side}u;
  let column_start = (group % across) * ${side}u;
  let row_start = (group / across % down) * ${side}u;
  let batch = group / (across * down);
  let left_start = left_base(batch);
  let right_start = right_base(batch);
  let y = lane / 16u;
  let x = lane % 16u;
  ${sums.map((name) => `var ${name} = vec4<f32>();`).join('\n  ')}
  let depth_end = ${left.walk === undefined ? 'params.depth' : 'walk_length(row_start, lane)'};
  for (var step = 0u; step < depth_end; step += ${DEPTH}u) {
    let first = ${left.walk === undefined ? 'step' : 'walk_at(step)'};
    if (lane < ${blocks}u) {${stage('left', left, fours, 'lane')}
    } else if (lane < ${2 * blocks}u) {${stage('right', right, fours, `lane - ${blocks}u`)}
    }
    workgroupBarrier();
    for (var d = 0u; d < ${DEPTH}u; d++) {
      ${each.map((r) => `let a${r} = left_tile[d * ${pitch(fours)}u + y + ${r * 16}u];`).join('\n      ')}
      ${each.map((c) => `let b${c} = right_tile[d * ${pitch(fours)}u + x + ${c * 16}u];`).join('\n      ')}
      ${each.flatMap((r) => four.flatMap((i) => each.map((c) => `sum${r}${i}${c} += a${r}[${i}] * b${c};`))).join('\n      ')}
    }
    workgroupBarrier();
  }
  // A loop, so that compilers see the activation once.
  var all = array<vec4<f32>, ${sums.length}>(${sums.join(', ')});
  for (var i = 0u; i < ${sums.length}u; i++) {
    let row = row_start + (y + i / ${4 * fours}u * 16u) * 4u + i / ${fours}u % 4u;
    let column = column_start + (x + i % ${fours}u * 16u) * 4u;
    store_four(batch, row, column, all[i]);
  }
}`,
  };
}
