/** `buildHash` and `lookupHash`: the coordinate table and look-ups in it. */
import type { TensorSpec } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../../context.ts';
import { enqueue, LaneVersions, type Launch } from '../launch.ts';
import { FIND_ROW, HASH_COORD } from './coord-hash.wgsl.ts';
import { coordBinding, rowReader } from './coord-rows.ts';

const WORKGROUP = 256;

/** Fills words of a binding with -1, which is also the largest unsigned number. */
export function absentLaunch(context: WebGpuContext, { shape }: TensorSpec): Launch {
  const program = context.program({
    label: 'sparse.absent',
    bindings: [{ name: 'out', dtype: 'i32', use: 'write' }],
    params: {},
    each: 'element',
    workgroup: WORKGROUP,
    body: 'fn run(at: u32) { store_out(at, -1); }',
  });
  return { program, params: program.pack({}), count: shape.reduce((size, n) => size * n, 1) };
}

interface BuildPlan {
  readonly clear: Launch;
  readonly insert: LaneVersions;
}

export const buildHashKernel: WebGpuKernel<object, BuildPlan> = {
  op: 'buildHash',
  supports: () => true,
  prepare({ inputs, outputs }, context) {
    const rows = inputs[0]!.shape[0]!;
    const mask = outputs[0]!.shape[0]! - 1;
    const insert = new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'buildHash.insert',
        bindings: [
          coordBinding('coords', 'read', lanes),
          { name: 'slots', dtype: 'u32', use: 'atomic' },
        ],
        params: { mask: 'u32' },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [HASH_COORD, rowReader('coords', lanes)],
        body: `
fn run(row: u32) {
  var carried = row;
  var key = row_coords(row);
  var slot = hash_coord(key) & params.mask;
  loop {
    // The smallest row stays, whoever comes first: the layout depends on the coordinates alone.
    let held = atomicMin(&slots_data[params.slots_at + slot], carried);
    if (held == 0xffffffffu) { return; }
    let other = row_coords(held);
    if (all(other == key)) { return; }
    if (held > carried) {
      carried = held;
      key = other;
    }
    slot = (slot + 1u) & params.mask;
  }
}`,
      });
      return { program, params: program.pack({ mask }), count: rows };
    });
    return { clear: absentLaunch(context, outputs[0]!), insert };
  },
  run({ clear, insert }, [coords], [slots], context) {
    enqueue(context, clear, [slots!]);
    insert.enqueue(context, [coords!, slots!]);
  },
};

export const lookupHashKernel: WebGpuKernel<object, LaneVersions> = {
  op: 'lookupHash',
  supports: () => true,
  prepare({ inputs, outputs }, context) {
    const mask = inputs[0]!.shape[0]! - 1;
    const count = outputs[0]!.shape[0]!;
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'lookupHash',
        bindings: [
          { name: 'slots', dtype: 'i32', use: 'read' },
          coordBinding('coords', 'read', lanes),
          coordBinding('queries', 'read', lanes),
          { name: 'out', dtype: 'i32', use: 'write' },
        ],
        params: { mask: 'u32' },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [HASH_COORD, rowReader('coords', lanes), rowReader('queries', lanes), FIND_ROW],
        body: 'fn run(i: u32) { store_out(i, find_row(row_queries(i))); }',
      });
      return { program, params: program.pack({ mask }), count };
    });
  },
  run(plan, [slots, coords, queries], [out], context) {
    plan.enqueue(context, [slots!, coords!, queries!, out!]);
  },
};
