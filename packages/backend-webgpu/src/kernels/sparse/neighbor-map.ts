/** `neighborMap` and `invertNeighborMap`. */
import type { InvertNeighborMapAttrs, NeighborMapAttrs } from '@pergola/sparse';
import type { WebGpuKernel } from '../../context.ts';
import { enqueue, LaneVersions, type Launch } from '../launch.ts';
import { FIND_ROW, HASH_COORD } from './coord-hash.wgsl.ts';
import { coordBinding, rowReader } from './coord-rows.ts';
import { absentLaunch } from './hash.ts';

const WORKGROUP = 256;

export const neighborMapKernel: WebGpuKernel<NeighborMapAttrs, LaneVersions> = {
  op: 'neighborMap',
  supports: () => true,
  prepare({ inputs, outputs, attrs }, context) {
    const mask = inputs[2]!.shape[0]! - 1;
    const [rows, taps] = outputs[0]!.shape as [number, number];
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'neighborMap',
        bindings: [
          coordBinding('queries', 'read', lanes),
          coordBinding('coords', 'read', lanes),
          { name: 'slots', dtype: 'i32', use: 'read' },
          { name: 'out', dtype: 'i32', use: 'write' },
        ],
        params: {
          mask: 'u32',
          taps: 'u32',
          kernel_size: 'u32',
          stride: 'i32',
          padding: 'i32',
          dilation: 'i32',
        },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [HASH_COORD, rowReader('coords', lanes), rowReader('queries', lanes), FIND_ROW],
        body: `
fn run(at: u32) {
  let query = row_queries(at / params.taps);
  let tap = at % params.taps;
  let k = params.kernel_size;
  let step = vec3<i32>(vec3<u32>(tap / (k * k), (tap / k) % k, tap % k));
  let place = query.yzw * params.stride - params.padding + params.dilation * step;
  store_out(at, find_row(vec4<i32>(query.x, place)));
}`,
      });
      const { kernelSize, stride, padding, dilation } = attrs;
      const params = program.pack({
        mask,
        taps,
        kernel_size: kernelSize,
        stride,
        padding,
        dilation,
      });
      return { program, params, count: rows * taps };
    });
  },
  run(plan, [queries, coords, slots], [out], context) {
    plan.enqueue(context, [queries!, coords!, slots!, out!]);
  },
};

interface InvertPlan {
  readonly clear: Launch;
  readonly scatter: Launch;
}

export const invertNeighborMapKernel: WebGpuKernel<InvertNeighborMapAttrs, InvertPlan> = {
  op: 'invertNeighborMap',
  supports: () => true,
  prepare({ inputs, outputs }, context) {
    const [mapped, taps] = inputs[0]!.shape as [number, number];
    const program = context.program({
      label: 'invertNeighborMap',
      bindings: [
        { name: 'map', dtype: 'i32', use: 'read' },
        { name: 'out', dtype: 'i32', use: 'write' },
      ],
      params: { taps: 'u32', rows: 'u32' },
      each: 'element',
      workgroup: WORKGROUP,
      body: `
fn run(at: u32) {
  // A negative row is beyond the last, too.
  let row = u32(load_map(at));
  if (row < params.rows) { store_out(row * params.taps + at % params.taps, i32(at / params.taps)); }
}`,
    });
    const params = program.pack({ taps, rows: outputs[0]!.shape[0]! });
    return {
      clear: absentLaunch(context, outputs[0]!),
      scatter: { program, params, count: mapped * taps },
    };
  },
  run({ clear, scatter }, [map], [out], context) {
    enqueue(context, clear, [out!]);
    enqueue(context, scatter, [map!, out!]);
  },
};
