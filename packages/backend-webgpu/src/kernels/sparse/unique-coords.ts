/** `uniqueCoords`: rows sorted and grouped, then one write for each row and for each group. */
import type { WebGpuContext, WebGpuKernel } from '../../context.ts';
import { enqueue, type Launch } from '../launch.ts';
import { GROUP_PLACES, planRowGroups, type RowGroups } from '../unique-rows.ts';

const WORKGROUP = 256;

interface Plan {
  readonly groups: RowGroups;
  readonly emit: Launch;
  readonly finish: Launch;
  readonly rows: number;
}

/** Group of each row, first place and coordinates of each group, and the number of groups. */
function emitLaunch(context: WebGpuContext, rows: number): Launch {
  const program = context.program({
    label: 'uniqueCoords.emit',
    bindings: [
      { name: 'coords', dtype: 'i32', use: 'read' },
      { name: 'order', dtype: 'i32', use: 'read' },
      { name: 'numbers', dtype: 'u32', use: 'read' },
      { name: 'unique', dtype: 'i32', use: 'write' },
      { name: 'inverse', dtype: 'i32', use: 'write' },
      { name: 'offsets', dtype: 'i32', use: 'write' },
      { name: 'summary', dtype: 'i32', use: 'write' },
    ],
    params: { rows: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [GROUP_PLACES],
    body: `
fn run(i: u32) {
  let row = u32(load_order(i));
  let group = group_of(i);
  store_inverse(row, i32(group));
  if (begins_group(i)) {
    store_offsets(group, i32(i));
    for (var column = 0u; column < 4u; column++) {
      store_unique(4u * group + column, load_coords(4u * row + column));
    }
  }
  if (i + 1u == params.rows) {
    store_offsets(group + 1u, i32(params.rows));
    store_summary(0u, i32(group + 1u));
  }
}`,
  });
  return { program, params: program.pack({ rows }), count: rows };
}

/** Offsets after the last group, and the size of the largest. */
function finishLaunch(context: WebGpuContext, rows: number): Launch {
  const program = context.program({
    label: 'uniqueCoords.finish',
    bindings: [
      { name: 'offsets', dtype: 'i32', use: 'readWrite' },
      { name: 'summary', dtype: 'i32', use: 'atomic' },
    ],
    params: { rows: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(group: u32) {
  if (group >= u32(atomicLoad(&summary_data[params.summary_at]))) {
    store_offsets(group, i32(params.rows));
    return;
  }
  let size = load_offsets(group + 1u) - load_offsets(group);
  let largest = &summary_data[params.summary_at + 1u];
  // Reading first spares most of the atomic writes to one place.
  if (size > atomicLoad(largest)) { atomicMax(largest, size); }
}`,
  });
  return { program, params: program.pack({ rows }), count: rows + 1 };
}

export const uniqueCoordsKernel: WebGpuKernel<object, Plan> = {
  op: 'uniqueCoords',
  supports: () => true,
  prepare({ inputs }, context) {
    const rows = inputs[0]!.shape[0]!;
    return {
      groups: planRowGroups(context, 'i32', rows, 4),
      emit: emitLaunch(context, rows),
      finish: finishLaunch(context, rows),
      rows,
    };
  },
  run({ groups, emit, finish, rows }, [coords], outputs, context) {
    const [unique, inverse, order, offsets, summary] = outputs;
    const numbers = context.scratch(rows);
    context.clear(unique!.buffer, unique!.offset * 4, rows * 16);
    context.clear(summary!.buffer, summary!.offset * 4, 8);
    groups.run(context, coords!, order!, numbers);
    enqueue(context, emit, [coords!, order!, numbers, unique!, inverse!, offsets!, summary!]);
    enqueue(context, finish, [offsets!, summary!]);
    context.release(numbers);
  },
};
