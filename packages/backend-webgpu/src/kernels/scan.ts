/** Running sums along rows: within a workgroup tile by tile, and for long rows over many workgroups in three passes. */
import type { Binding, DType } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { enqueue, type Launch } from './launch.ts';

const WORKGROUP = 256;
// Elements of a row that one workgroup scans in the three-pass form: 16 tiles.
const BLOCK = 4096;

/** Rows to scan: element `e` of row `r` lies at `r * length + e`. */
export interface ScanRows {
  readonly rows: number;
  readonly length: number;
  /** The element itself is left out of its sum. */
  readonly exclusive: boolean;
}

/** Enqueues a planned scan from x to out, which must not share a buffer. */
export type Scan = (context: WebGpuContext, x: Binding<GpuBuffer>, out: Binding<GpuBuffer>) => void;

/**
 * Inclusive sums of a workgroup's values, by doubling steps; the last entry of `scan_parts` is the total.
 * Barriers stand on both sides of each use of the shared array.
 */
export function groupScan(type: string): string {
  return `
var<workgroup> scan_parts: array<${type}, ${WORKGROUP}>;
fn scan_group(lane: u32, value: ${type}) -> ${type} {
  var sum = value;
  scan_parts[lane] = sum;
  workgroupBarrier();
  for (var distance = 1u; distance < ${WORKGROUP}u; distance *= 2u) {
    var before = ${type}(0);
    if (lane >= distance) { before = scan_parts[lane - distance]; }
    workgroupBarrier();
    sum += before;
    scan_parts[lane] = sum;
    workgroupBarrier();
  }
  return sum;
}
`;
}

/**
 * Scans blocks of rows, one workgroup each.
 *
 * @param block elements of a block; a row of one block starts at 0, else block `b` of row `r` starts at entry
 * `r * blocks + b` of the binding `carries`.
 */
function blockLaunch(
  context: WebGpuContext,
  from: DType,
  to: DType,
  { rows, length, exclusive }: ScanRows,
  block: number,
): Launch {
  const type = valueType(from);
  const blocks = Math.ceil(length / block);
  const carried = blocks > 1;
  const program = context.program({
    label: `scan.${from}`,
    bindings: [
      { name: 'x', dtype: from, use: 'read' },
      ...(carried ? [{ name: 'carries', dtype: carryDType(from), use: 'read' } as const] : []),
      { name: 'out', dtype: to, use: 'write' },
    ],
    params: { length: 'u32', block: 'u32', blocks: 'u32' },
    each: 'group',
    workgroup: WORKGROUP,
    body: `${groupScan(type)}
fn run(group: u32, lane: u32) {
  let start = (group / params.blocks) * params.length;
  let first = (group % params.blocks) * params.block;
  let end = min(params.length, first + params.block);
  var carry = ${carried ? 'load_carries(group)' : `${type}(0)`};
  for (var tile = first; tile < end; tile += ${WORKGROUP}u) {
    let i = tile + lane;
    var value = ${type}(0);
    if (i < end) { value = load_x(start + i); }
    let sum = scan_group(lane, value);
    if (i < end) { store_out(start + i, carry + sum${exclusive ? ' - value' : ''}); }
    carry += scan_parts[${WORKGROUP - 1}];
    workgroupBarrier();
  }
}`,
  });
  const params = program.pack({ length, block, blocks });
  return { program, params, count: rows * blocks };
}

/** Sum of each block of each row. */
function totalsLaunch(
  context: WebGpuContext,
  from: DType,
  { rows, length }: ScanRows,
  blocks: number,
): Launch {
  const type = valueType(from);
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type,
    combine: 'a + b',
    workgroup: WORKGROUP,
  });
  const program = context.program({
    label: `scan.totals.${from}`,
    bindings: [
      { name: 'x', dtype: from, use: 'read' },
      { name: 'totals', dtype: carryDType(from), use: 'write' },
    ],
    params: { length: 'u32', blocks: 'u32' },
    each: 'group',
    workgroup: WORKGROUP,
    enables: reduction.enables,
    body: `${reduction.code}
fn run(group: u32, lane: u32) {
  let start = (group / params.blocks) * params.length;
  let first = (group % params.blocks) * ${BLOCK}u;
  let end = min(params.length, first + ${BLOCK}u);
  var part = ${type}(0);
  for (var i = first + lane; i < end; i += ${WORKGROUP}u) { part += load_x(start + i); }
  let total = reduce(lane, part);
  if (lane == 0u) { store_totals(group, total); }
}`,
  });
  return { program, params: program.pack({ length, blocks }), count: rows * blocks };
}

/** Carries keep the precision of the sums. */
function carryDType(from: DType): 'f32' | 'i32' | 'u32' {
  const type = valueType(from);
  return type === 'bool' ? 'u32' : type;
}

/**
 * Plans a scan of contiguous rows of numbers.
 *
 * @param strategy `group`: a workgroup per row; `blocks`: three passes; by length when absent.
 */
export function planScan(
  context: WebGpuContext,
  from: DType,
  to: DType,
  shape: ScanRows,
  strategy?: 'group' | 'blocks',
): Scan {
  const { rows, length } = shape;
  const blocks = Math.ceil(length / BLOCK);
  const long = (strategy ?? (length > 2 * BLOCK ? 'blocks' : 'group')) === 'blocks';
  if (!long || blocks < 2) {
    const launch = blockLaunch(context, from, to, shape, Math.max(1, length));
    return (target, x, out) => enqueue(target, launch, [x, out]);
  }
  const carry = carryDType(from);
  const totals = totalsLaunch(context, from, shape, blocks);
  const carries = planScan(context, carry, carry, { rows, length: blocks, exclusive: true });
  const scan = blockLaunch(context, from, to, shape, BLOCK);
  return (target, x, out) => {
    const sums = target.scratch(rows * blocks);
    const starts = target.scratch(rows * blocks);
    enqueue(target, totals, [x, sums]);
    carries(target, sums, starts);
    enqueue(target, scan, [x, starts, out]);
    target.release(sums, starts);
  };
}
