/**
 * Matrix product of f16 on the matrix units, sums in f32.
 *
 * A workgroup walks the depth in steps: both tiles go through workgroup memory while the next ones are already on
 * their way to registers. The sums leave through the same memory, where bias and activation meet them.
 */
import {
  accumulate,
  HALVES,
  loadHalves,
  MATRIX,
  MATRIX_ENABLES,
  storeSums,
  SUMS,
} from '../wgsl/matrix-units.ts';
import {
  invocations,
  poolElements,
  sumsPitch,
  tilePitch,
  type MatrixTiles,
} from './matrix-tiles.ts';
import type { Operand, Side } from './operand.ts';
import type { Product, Template, TemplateOperands } from './problem.ts';

// Workgroups that run at the same time share rows and columns: a band of rows is finished before the next.
const BAND = 8;

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** How one operand goes from memory to the pool and on to matrices. */
interface Staging {
  /** Declarations before the depth is walked. */
  readonly setup: string;
  /** Registers from memory, at depth `at`. */
  readonly fetch: string;
  /** The pool from registers. */
  readonly stash: string;
  /** Expression of the matrix `i` of the subgroup's part, at depth `d * MATRIX` of the tile. */
  matrix(i: number, d: number): string;
}

interface StagedTile {
  readonly side: Side;
  readonly lines: number;
  /** WGSL: first line of the workgroup, and of the subgroup within the tile. */
  readonly start: string;
  readonly part: string;
  /** Where the tile starts in the pool. */
  readonly pool: number;
}

function staging(operand: Operand, tiles: MatrixTiles, tile: StagedTile): Staging {
  const { side, lines, start, part, pool } = tile;
  const size = invocations(tiles);
  const alongDepth = operand.along === 'depth';
  // Reads of eight halves along one axis of the tile, at every place of the other.
  const [reads, places] = alongDepth ? [tiles.depth / 8, lines] : [lines / 8, tiles.depth];
  const loads = range((reads * places) / size);
  const pitch = tilePitch(reads * 8);
  const chunk = `lane % ${reads}u`;
  const place = (load: number): string => `(lane / ${reads}u + ${(load * size) / reads}u)`;
  const handles = alongDepth ? loads : [0];
  const line = (load: number): string =>
    alongDepth ? `${start} + ${place(load)}` : `${start} + ${chunk} * 8u`;
  const depth = (load: number): string =>
    alongDepth ? `at + ${chunk} * 8u` : `at + ${place(load)}`;
  return {
    setup: [
      ...handles.map((load) => `let ${side}${load} = ${side}_line(${side}_start, ${line(load)});`),
      ...loads.map((load) => `var ${side}_next${load}: vec4<u32>;`),
    ].join('\n  '),
    fetch: loads
      .map((load) => {
        const handle = `${side}${alongDepth ? load : 0}`;
        return `${side}_next${load} = ${side}_read(${handle}, ${depth(load)});`;
      })
      .join('\n    '),
    stash: loads
      .map(
        (load) => `pool[${pool}u + ${place(load)} * ${pitch}u + ${chunk}] = ${side}_next${load};`,
      )
      .join('\n    '),
    matrix(i, d) {
      const first = `(${part} + ${i * MATRIX}u)`;
      const offset = alongDepth
        ? `${pool}u + ${first} * ${pitch}u + ${(d * MATRIX) / 8}u`
        : `${pool + d * MATRIX * pitch}u + ${first} / 8u`;
      // Lines are rows of the left matrix and columns of the right one.
      const order = alongDepth === (side === 'left') ? 'row_major' : 'col_major';
      return loadHalves(side, order, offset, pitch);
    },
  };
}

/** Statements that send the sums through the pool to the output, 16 rows of every subgroup at a time. */
function drain(
  { out }: Product,
  tiles: MatrixTiles,
  rowTiles: number,
  columnTiles: number,
): string {
  const { columns, down, across } = tiles;
  const size = invocations(tiles);
  const perSubgroup = columnTiles * MATRIX;
  const pitch = sumsPitch(perSubgroup);
  const chunks = columns / 8;
  const places = down * MATRIX;
  // Neighbouring lanes store neighbouring elements: columns as a rule, rows where channels are the outer axis.
  const byColumns = out.columnStride === 1;
  const [chunkOf, placeOf] = byColumns
    ? [`slot % ${chunks}u`, `slot / ${chunks}u`]
    : [`slot / ${places}u`, `slot % ${places}u`];
  // Invocations keep their columns from round to round where the columns divide them.
  const steady = byColumns && size % chunks === 0;
  const rounds = range(rowTiles).map(
    (i) => `
  ${range(columnTiles)
    .map((j) => storeSums(`sum${i}_${j}`, `subgroup * ${MATRIX * pitch}u + ${j * 4}u`, pitch))
    .join('\n  ')}
  workgroupBarrier();
  drain(batch, row_start + ${i * MATRIX}u, column_start, lane, bias);
  workgroupBarrier();`,
  );
  return `
  workgroupBarrier();
  let bias = bias_eight(batch, column_start + lane % ${chunks}u * 8u);
${rounds.join('')}
}
fn drain(batch: u32, row_start: u32, column_start: u32, lane: u32, first_bias: Eight) {
  for (var slot = lane; slot < ${chunks * places}u; slot += ${size}u) {
    let chunk = ${chunkOf};
    let place = ${placeOf};
    let part = place / ${MATRIX}u;
    let column = chunk * 8u;
    let at = ((part * ${across}u + column / ${perSubgroup}u) * ${MATRIX}u + place % ${MATRIX}u) * ${pitch}u + column % ${perSubgroup}u / 4u;
    let sums = Eight(bitcast<vec4<f32>>(pool[at]), bitcast<vec4<f32>>(pool[at + 1u]));
    let row = row_start + part * ${rowTiles * MATRIX}u + place % ${MATRIX}u;
    ${steady ? 'let bias = first_bias;' : 'let bias = bias_eight(batch, column_start + column);'}
    store_eight(batch, row, column_start + column, sums, bias);
  }
}`;
}

export function matrixTemplate(
  product: Product,
  { left, right }: TemplateOperands,
  tiles: MatrixTiles,
): Template {
  const { rows, columns, batches } = product;
  const rowTiles = tiles.rows / tiles.down / MATRIX;
  const columnTiles = tiles.columns / tiles.across / MATRIX;
  const a = staging(left, tiles, {
    side: 'left',
    lines: tiles.rows,
    start: 'row_start',
    part: 'row_part',
    pool: 0,
  });
  const b = staging(right, tiles, {
    side: 'right',
    lines: tiles.columns,
    start: 'column_start',
    part: 'column_part',
    pool:
      left.along === 'depth'
        ? tiles.rows * tilePitch(tiles.depth)
        : tiles.depth * tilePitch(tiles.rows),
  });
  const multiply = range(tiles.depth / MATRIX).map(
    (d) => `
    {
      ${range(columnTiles)
        .map((j) => `let b${j} = ${b.matrix(j, d)};`)
        .join('\n      ')}
${range(rowTiles)
  .map(
    (i) => `      {
        let a = ${a.matrix(i, d)};
        ${range(columnTiles)
          .map((j) => accumulate(`sum${i}_${j}`, 'a', `b${j}`))
          .join('\n        ')}
      }`,
  )
  .join('\n')}
    }`,
  );
  const at = left.walk === undefined ? 'step' : 'walk_at(step)';
  return {
    each: 'group',
    workgroup: invocations(tiles),
    helpers: [HALVES],
    enables: MATRIX_ENABLES,
    subgroupId: true,
    count: Math.ceil(rows / tiles.rows) * Math.ceil(columns / tiles.columns) * batches,
    body: `${left.walk?.code(tiles.rows, invocations(tiles)) ?? ''}
var<workgroup> pool: array<vec4<u32>, ${poolElements(tiles)}>;
fn run(group: u32, lane: u32, subgroup: u32) {
  let across = (params.columns + ${tiles.columns - 1}u) / ${tiles.columns}u;
  let down = (params.rows + ${tiles.rows - 1}u) / ${tiles.rows}u;
  let batch = group / (across * down);
  let tile = group % (across * down);
  let band = tile / (${BAND}u * across);
  let band_rows = min(${BAND}u, down - band * ${BAND}u);
  let in_band = tile % (${BAND}u * across);
  let row_start = (band * ${BAND}u + in_band % band_rows) * ${tiles.rows}u;
  let column_start = (in_band / band_rows) * ${tiles.columns}u;
  let row_part = subgroup / ${tiles.across}u * ${rowTiles * MATRIX}u;
  let column_part = subgroup % ${tiles.across}u * ${columnTiles * MATRIX}u;
  let left_start = left_base(batch);
  let right_start = right_base(batch);
  ${a.setup}
  ${b.setup}
  ${range(rowTiles)
    .flatMap((i) => range(columnTiles).map((j) => `var sum${i}_${j}: ${SUMS};`))
    .join('\n  ')}
  let depth_end = ${left.walk === undefined ? 'params.depth' : 'walk_length(row_start, lane)'};
  var step = 0u;
  if (step < depth_end) {
    let at = ${at};
    ${a.fetch}
    ${b.fetch}
  }
  loop {
    workgroupBarrier();
    ${a.stash}
    ${b.stash}
    workgroupBarrier();
    step += ${tiles.depth}u;
    if (step < depth_end) {
    let at = ${at};
    ${a.fetch}
    ${b.fetch}
    }
${multiply.join('')}
    if (step >= depth_end) { break; }
  }
${drain(product, tiles, rowTiles, columnTiles)}`,
  };
}
