/** Groups of equal rows: sorted, numbered in ascending order. */
import type { Binding, DType } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext } from '../context.ts';
import { enqueue, type Launch } from './launch.ts';
import { planRowSort } from './radix-sort.ts';
import { planScan } from './scan.ts';

const WORKGROUP = 256;

/** A planned grouping. */
export interface RowGroups {
  /**
   * Enqueues the grouping.
   *
   * @param order u32 or i32 `[rows]`, written: rows by group, ascending within a group.
   * @param numbers u32 `[rows]`, written: for each place in the order, 1 + its group.
   */
  run(
    context: WebGpuContext,
    keys: Binding<GpuBuffer>,
    order: Binding<GpuBuffer>,
    numbers: Binding<GpuBuffer>,
  ): void;
}

/** Marks each place in the order where another row begins. */
function headLaunch(context: WebGpuContext, rows: number, words: number): Launch {
  const program = context.program({
    label: 'unique.heads',
    bindings: [
      { name: 'packed', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'heads', dtype: 'u32', use: 'write' },
    ],
    params: { words: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(i: u32) {
  var differs = i == 0u;
  if (!differs) {
    let row = load_order(i) * params.words;
    let before = load_order(i - 1u) * params.words;
    for (var word = 0u; word < params.words && !differs; word++) {
      differs = load_packed(row + word) != load_packed(before + word);
    }
  }
  store_heads(i, select(0u, 1u, differs));
}`,
  });
  return { program, params: program.pack({ words }), count: rows };
}

/** Plans the grouping of `[rows, width]` keys of dtype i32, u32 or f32. */
export function planRowGroups(
  context: WebGpuContext,
  dtype: DType,
  rows: number,
  width: number,
): RowGroups {
  const sort = planRowSort(context, dtype, rows, width);
  const heads = headLaunch(context, rows, sort.words);
  const scan = planScan(context, 'u32', 'u32', { rows: 1, length: rows, exclusive: false });
  return {
    run(target, keys, order, numbers) {
      if (rows === 0) return;
      const packed = target.scratch(rows * sort.words);
      const marks = target.scratch(rows);
      sort.run(target, keys, order, packed);
      enqueue(target, heads, [packed, order, marks]);
      scan(target, marks, numbers);
      target.release(packed, marks);
    },
  };
}

/**
 * WGSL for one invocation per place `i` in the order: `group_of(i)`, and whether its group begins there. Reads the
 * binding `numbers`.
 */
export const GROUP_PLACES: string = `
fn group_of(i: u32) -> u32 { return load_numbers(i) - 1u; }
fn begins_group(i: u32) -> bool { return i == 0u || load_numbers(i - 1u) != load_numbers(i); }
`;
