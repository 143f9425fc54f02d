/** `uniqueByKey`: rows sorted and grouped, then one write for each row and for each group. */
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { enqueue, type Launch } from './launch.ts';
import { GROUP_PLACES, planRowGroups, type RowGroups } from './unique-rows.ts';

const WORKGROUP = 256;

interface Plan {
  readonly groups: RowGroups;
  readonly emit: Launch;
  readonly count: Launch;
  readonly rows: number;
  readonly width: number;
}

/** Group of each row, first row and key of each group, and the number of groups. */
function emitLaunch(context: WebGpuContext, rows: number, width: number): Launch {
  const program = context.program({
    label: 'uniqueByKey.emit',
    bindings: [
      { name: 'keys', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'numbers', dtype: 'u32', use: 'read' },
      { name: 'unique', dtype: 'u32', use: 'write' },
      { name: 'inverse', dtype: 'u32', use: 'write' },
      { name: 'starts', dtype: 'u32', use: 'write' },
      { name: 'found', dtype: 'u32', use: 'write' },
    ],
    params: { rows: 'u32', width: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [GROUP_PLACES],
    body: `
fn run(i: u32) {
  let row = load_order(i);
  let group = group_of(i);
  store_inverse(row, group);
  if (begins_group(i)) {
    store_starts(group, i);
    for (var column = 0u; column < params.width; column++) {
      store_unique(group * params.width + column, load_keys(row * params.width + column));
    }
  }
  if (i + 1u == params.rows) {
    store_starts(group + 1u, params.rows);
    store_found(0u, group + 1u);
  }
}`,
  });
  return { program, params: program.pack({ rows, width }), count: rows };
}

function countLaunch(context: WebGpuContext, rows: number): Launch {
  const program = context.program({
    label: 'uniqueByKey.count',
    bindings: [
      { name: 'starts', dtype: 'u32', use: 'read' },
      { name: 'found', dtype: 'u32', use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'write' },
    ],
    params: {},
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(group: u32) {
  var count = 0u;
  if (group < load_found(0u)) { count = load_starts(group + 1u) - load_starts(group); }
  store_counts(group, count);
}`,
  });
  return { program, params: program.pack({}), count: rows };
}

export const uniqueByKeyKernel: WebGpuKernel<object, Plan> = {
  op: 'uniqueByKey',
  supports: () => true,
  prepare({ inputs }, context) {
    const { dtype, shape } = inputs[0]!;
    const [rows, width = 1] = shape as [number, number?];
    return {
      groups: planRowGroups(context, dtype, rows, width),
      emit: emitLaunch(context, rows, width),
      count: countLaunch(context, rows),
      rows,
      width,
    };
  },
  run({ groups, emit, count, rows, width }, [keys], outputs, context) {
    const [unique, inverse, counts, found] = outputs;
    const order = context.scratch(rows);
    const numbers = context.scratch(rows);
    const starts = context.scratch(rows + 1);
    context.clear(unique!.buffer, unique!.offset * 4, rows * width * 4);
    context.clear(found!.buffer, found!.offset * 4, 4);
    groups.run(context, keys!, order, numbers);
    enqueue(context, emit, [keys!, order, numbers, unique!, inverse!, starts, found!]);
    enqueue(context, count, [starts, found!, counts!]);
    context.release(order, numbers, starts);
  },
};
